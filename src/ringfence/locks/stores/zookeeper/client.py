"""The session of a store: opened when first asked for, kept by kazoo's threads, and opened anew when it is lost."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ringfence import _zookeeper
from ringfence.errors import BackendUnavailable, InvalidValue, StoreError, StoreTimeout
from ringfence.locks.stores.zookeeper.opening import SAFE, Target
from ringfence.protocol import now


class Client:
    """Gives out kazoo's client while it is connected.

    Args:
        target: where to connect.
        lost: called by a thread of kazoo when the session is lost, and all its nodes with it.
    """

    def __init__(self, target: Target, lost: Callable[[], object]) -> None:
        self._target = target
        self._lost = lost
        self._closed = False
        self._client: Any = None
        self.forked()

    def forked(self) -> None:
        """Connect afresh in a forked child: the session is the parent's, and so is its socket."""
        if self._client is not None:
            _inherited.append(self._client)
        self._client = None
        self._silent_since: float | None = None
        self._wrote = -math.inf
        self._lock = threading.Lock()

    def connected(self) -> Any:
        """Return kazoo's client.

        Raises:
            BackendUnavailable: kazoo is not installed, or no server can be reached, and none ever was.
            StoreError: the store was closed.
            StoreTimeout: there is no connection now. kazoo would keep a request until there is one.
        """
        return self.while_connected() or self._connect()

    @property
    def was_connected(self) -> bool:
        """Whether this process has asked the servers anything."""
        return self._client is not None or self._silent_since is not None

    def while_connected(self) -> Any:
        """Return kazoo's client if it is connected, else None; never wait."""
        client = self._client
        return client if client is not None and client.connected else None

    def check(self, ttl: float) -> None:
        """Refuse a ttl that could outlast the session.

        Raises:
            InvalidValue: it could.
        """
        client = self._client
        agreed = self._target.session if client is None else min(client.agreed, self._target.session)
        if ttl > agreed * SAFE:
            raise InvalidValue(
                f"a lease of {ttl:g} s can outlast its session of {agreed:g} s; take a ttl of at most "
                f"{agreed * SAFE:g} s, or ?session={ttl / SAFE:g}, if the servers (maxSessionTimeout) let you"
            )

    def wrote(self, sent: float) -> None:
        """Note when something was sent that the leader has answered, whether with yes or no."""
        self._wrote = max(self._wrote, sent)

    def lasts(self, ttl: float) -> bool:
        """Say whether the session, as the leader knows it, lasts for longer than a lease that is granted now."""
        client = self._client
        return client is not None and now() + ttl <= self._wrote + client.agreed * SAFE

    def close(self) -> None:
        """End the session. Closing twice is harmless."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None:
            _zookeeper.end(client)

    def _connect(self) -> Any:
        with self._lock:
            if self._closed:
                raise StoreError(f"the lock store on {self._target.place} was closed; open a new one")
            if self._client is None:
                self._client = self._open()
            elif not self._client.connected:
                self._give_up_what_is_over()
                raise StoreTimeout(f"{self._target.place} is not connected; nothing was sent, try again")
            return self._client

    def _open(self) -> Any:
        try:
            client = _zookeeper.connect(self._target.hosts, self._target.session, self._target.user)
        except BackendUnavailable as error:
            if self._silent_since is None:
                raise
            raise StoreTimeout(f"{error}; nothing was sent") from error
        self._silent_since = None
        client.add_listener(self._heard)
        return client

    def _give_up_what_is_over(self) -> None:
        """Let go of a session that its servers have ended: one that has seen what they lost is never let in again."""
        if self._silent_since is None or now() < self._silent_since + self._target.session:
            return
        client, self._client = self._client, None
        client.remove_listener(self._heard)
        with suppress(Exception):
            _zookeeper.end(client)
        self._lost()

    def _heard(self, state: str) -> None:
        if state == "LOST":
            self._lost()
        self._silent_since = None if state == "CONNECTED" else now()


_inherited: list[Any] = []
"""The clients of parents, which must not be finalized."""
