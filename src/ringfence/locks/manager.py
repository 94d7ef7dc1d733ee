"""The way in: a manager makes locks on one store and keeps their leases."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ringfence.errors import StoreError
from ringfence.locks.lock import Lock
from ringfence.locks.opening import open_store
from ringfence.locks.session import ThreadSession
from ringfence.locks.stores import Holder, LockStore
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import run


class LockManager:
    """Makes locks on one store, renews their leases, and reports those that are lost.

    ::

        with LockManager.from_url("sqlite:///locks.db") as manager, manager.lock("report") as lease:
            ...

    It is safe to share between threads. Its two daemon threads start when there is something to watch or renew, and
    end with it; there is none per lock. In a forked child it holds nothing, whatever the parent holds; there it can
    be used afresh unless its SQLite file was open at the fork, which SQLite does not allow.

    Args:
        store: who arbitrates; the manager closes it in the end.
    """

    def __init__(self, store: LockStore) -> None:
        self._session = ThreadSession(store, remote=not isinstance(store, MemoryStore))

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open a manager on the store that a URL names.

        - `memory://` or `memory://name`: one store for everyone in this process who gives that name.
        - `sqlite:///path`: a file for the processes of one machine, made when missing.
        - `redis://`, `rediss://`, `unix://`: Redis or Valkey, with the options of redis-py; connected when first used.

        Raises:
            BackendUnavailable: the driver is not installed; the message names the extra that brings it.
            InvalidType: `url` is not a string.
            InvalidValue: it names no known store.
        """
        return cls(open_store(url))

    def lock(self, name: str, ttl: float = 10.0, renew: bool = True) -> Lock:
        """Return a lock; nothing is asked of the store yet.

        Args:
            name: 1 to 255 bytes in UTF-8.
            ttl: seconds after which a lease ends unless it is renewed, from 10 ms to a day.
            renew: whether leases are renewed, each third of the ttl, until they are released.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds.
        """
        return Lock(self._session, name, ttl, renew)

    def leases(self) -> list[Holder]:
        """Return all locks of the store that are held, by whomever.

        Raises:
            StoreError: the store failed or did not answer.
        """
        return self._session.store.leases()

    def close(self) -> None:
        """Release every lease that is still held, stop the threads and close the store. Twice is harmless.

        Raises:
            StoreError: a lease could not be released, and its ttl will end it; all else is closed all the same.
        """
        self._session.stop()
        try:
            self._release_all()
        finally:
            self._session.close()
            self._session.store.close()

    def _release_all(self) -> None:
        failures = []
        for lease in self._session.held():
            try:
                run(lease._releasing())
            except StoreError as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
