"""The lock store in Redis for threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from ringfence import _redis
from ringfence._core.exchange import Slot
from ringfence._forks import tell_of_forks
from ringfence.errors import StoreError
from ringfence.locks.stores import Claim, Holder, Push, Status
from ringfence.locks.stores.redis import requests
from ringfence.locks.stores.redis.connection import Connection
from ringfence.locks.stores.redis.line import HungUp
from ringfence.locks.stores.redis.opening import Replicas, Target
from ringfence.locks.stores.redis.wire import checked, command, is_unknown_script, whole
from ringfence.protocol import now, run


class RedisStore:
    """Leases in Redis or Valkey, from version 6 on, for processes anywhere; one connection for all threads.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with the options of redis-py, or `redis+sentinel://`; and
            `wait_replicas=n`: a grant counts when so many replicas have it.
        timeout: seconds to wait for an answer. The request is given up then, and the connection with it.

    Raises:
        BackendUnavailable: redis-py is not installed.
        InvalidValue: redis-py does not understand the URL.
    """

    shared = True

    def __init__(self, url: str, *, timeout: float = 1.0) -> None:
        self._target = Target(url)
        self._timeout = timeout
        self._replicas = Replicas(url, timeout)
        self._client = _redis.client(self._replicas.url, timeout=timeout)
        self._connection: Connection | None = None
        self._connecting = threading.Lock()
        tell_of_forks(self)

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it."""
        ask = self._line_up if queue else self._ask_once
        try:
            return ask(name, owner, ttl, fences)
        except HungUp:  # perhaps while nothing was asked; a second time cannot harm
            return ask(name, owner, ttl, fences)

    def wait(self, name: str, owner: str, seconds: float) -> Push | None:  # noqa: ARG002 -- owners are unique
        """Wait for a grant to `owner`, who has a place in the queue; `seconds` at most."""
        connection = self._connection
        slot = connection.waiters.get(owner) if connection is not None else None
        if connection is None or slot is None:
            return None
        connection.wait(slot, min(slot.until, now() + seconds))
        if not isinstance(slot.value, Push):
            return None
        connection.waiters.pop(owner, None)
        return None if self._replicas.requests else slot.value  # asked again, it counts when they have it

    def renew(self, claims: Sequence[Claim], asking: bool = False) -> list[bool]:
        """Extend the leases that are still held; for each claim, say whether it is.

        Args:
            claims: what is held.
            asking: of a node of a cluster, to which their slots are only moving.
        """
        if asking:
            return [self._ask_moving(requests.renew(claim)) == 1 for claim in claims]
        held: list[bool] = []
        for batch in requests.renewals(claims):  # in one batch: what counts is what this connection wrote
            answers = self._ask_all([*batch, *self._replicas.requests])
            self._replicas.check(answers[len(batch) :])
            held += (answer == 1 for answer in answers[: len(batch)])
        return held

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence, for the next waiter; say whether it did."""
        connection = self._connection
        if connection is None or connection.lost is not None:
            connection = self._connect()
        request = requests.release(name, owner, fence)
        answer = connection.ask(request)
        return bool(answer if type(answer) is int else self._resolved(connection, request, answer))

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        connection = self._connected()
        connection.waiters.pop(owner, None)
        self._ask(connection, requests.withdraw(name, owner))

    def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it."""
        return requests.told(name, self._ask_all([requests.status(name)])[0])

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence."""
        return run(requests.leases(self._connected()))

    def ask(self, *words: str) -> Any:
        """Return the answer to a command."""
        return checked(self._connected().ask(command(*words)))

    def close(self) -> None:
        """Close the connection; leases stay as they are. Closing twice is harmless."""
        with self._connecting:
            self._target.closed = True
            if self._connection is not None:
                self._connection.close()

    def forked(self) -> None:
        """Connect afresh in a forked child: the connection is the parent's."""
        if self._connection is not None:
            self._connection.abandon()
        self._connection = None
        self._connecting = threading.Lock()

    def _ask_once(self, name: str, owner: str, ttl: float, fences: int) -> int | None:
        connection = self._connected()
        answer = self._ask(connection, requests.grant(name, owner, ttl, fences))
        return self._counted(connection, name, owner, answer) if answer > 0 else None

    def _line_up(self, name: str, owner: str, ttl: float, fences: int) -> int | None:
        connection = self._connection
        if connection is None or connection.lost is not None:
            connection = self._connect()
        request = requests.grant(name, owner, ttl, fences, connection.channel)
        slot = connection.waiters[owner] = Slot()  # before the push can come
        answer = 0
        try:
            first = connection.ask(request)
            answer = first if type(first) is int else self._resolved(connection, request, first)
        finally:
            if answer >= 0:
                connection.waiters.pop(owner, None)
        if answer > 0:
            return self._counted(connection, name, owner, answer) if self._replicas.requests else answer
        slot.until = now() + requests.patience(answer)
        return None

    def _counted(self, connection: Connection, name: str, owner: str, fence: int) -> int:
        """Return the fence of a grant that enough replicas have; withdraw another."""
        for request in self._replicas.requests:
            missing = self._replicas.missing(name, checked(connection.ask(request)))
            if missing is not None:
                self._ask(connection, requests.withdraw(name, owner))
                raise missing
        return fence

    def _ask(self, connection: Connection, request: bytes) -> int:
        return self._resolved(connection, request, connection.ask(request))

    def _resolved(self, connection: Connection, request: bytes, answer: Any) -> int:
        """Return what a request comes to whose first answer is no number, perhaps."""
        if is_unknown_script(answer):
            answer = connection.ask(whole(request))
        return int(checked(answer))

    def _ask_moving(self, request: bytes) -> Any:
        """Ask for what is moving there; with the script's text, which may not be known there yet."""
        return checked(self._connected().ask_all([command("ASKING"), whole(request)])[1])

    def _ask_all(self, batch: list[bytes]) -> list[Any]:
        connection = self._connected()
        answers = connection.ask_all(batch)
        if any(map(is_unknown_script, answers)):
            answers = connection.ask_all([whole(request) for request in batch])
        return [checked(answer) for answer in answers]

    def live(self) -> Connection | None:
        """Return the connection, if there is one."""
        connection = self._connection
        return None if connection is None or connection.lost is not None else connection

    def _connected(self) -> Connection:
        connection = self._connection
        return self._connect() if connection is None or connection.lost is not None else connection

    def _connect(self) -> Connection:
        with self._connecting:
            if self._connection is not None and self._connection.lost is None:
                return self._connection
            self._target.check()
            if self._connection is not None:
                self._connection.close()
            try:
                self._connection = self._open()
            except StoreError as error:
                raise self._target.failed(error) from error
            self._target.connected()
            return self._connection

    def _open(self) -> Connection:
        pool = self._client.connection_pool
        opened = pool.connection_class(**pool.connection_kwargs)
        try:
            with _redis.translating(self._target.place):
                opened.connect()
            connection = Connection(opened, self._timeout)
            checked(connection.ask(command("SUBSCRIBE", connection.channel)))
        except BaseException:
            opened.disconnect()
            raise
        finally:
            for sentinel in _redis.sentinels(self._client):
                sentinel.connection_pool.disconnect()
        return connection
