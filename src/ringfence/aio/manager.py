"""The way in for asyncio: a manager makes locks on one store and keeps their leases."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from ringfence.aio.lock_store import on_loop
from ringfence.aio.locks import Lease, Lock, LoopSession
from ringfence.aio.recipes.barrier import Barrier
from ringfence.aio.recipes.election import Election
from ringfence.aio.recipes.multi import MultiLock
from ringfence.aio.recipes.once import Once
from ringfence.aio.recipes.rlock import RLock
from ringfence.errors import StoreError
from ringfence.locks.arguments import check_ttl
from ringfence.locks.naming import Naming, check_function
from ringfence.locks.opening import open_async_store
from ringfence.locks.recipes.handover import adopting
from ringfence.locks.recipes.rlock import Holders
from ringfence.locks.recipes.rwlock import RWLock
from ringfence.locks.recipes.semaphore import permit
from ringfence.locks.stores import Holder, LockStore
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import Call, Effects, arun

if TYPE_CHECKING:
    from ringfence.locks.stores.redis.aio_cluster import AsyncClusterStore
    from ringfence.locks.stores.redis.aio_store import AsyncRedisStore
    from ringfence.locks.stores.redis.quorum_store import AsyncQuorumStore

P = ParamSpec("P")
T = TypeVar("T")


class LockManager:
    """Makes locks on one store for the tasks of an event loop; see `ringfence.LockManager`.

    ::

        async with LockManager.from_url("sqlite:///locks.db") as manager:
            async with manager.lock("report") as lease:
                ...

    A store that blocks is used in one thread beside the event loop, which never waits for a file.

    Args:
        store: who arbitrates, for threads or with coroutines as its methods; the manager closes it in the end.
    """

    def __init__(self, store: LockStore | AsyncRedisStore | AsyncClusterStore | AsyncQuorumStore) -> None:
        self._store = on_loop(store)
        self._session = LoopSession(self._store, remote=not isinstance(store, MemoryStore))
        self._holders = Holders()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open a manager on the store that a URL names; see `ringfence.LockManager.from_url`.

        Raises:
            BackendUnavailable: the driver is not installed; the message names the extra that brings it.
            InvalidType: `url` is not a string.
            InvalidValue: it names no known store.
        """
        return cls(open_async_store(url))

    def lock(self, name: str, ttl: float = 10.0, renew: bool = True, *, cancel_on_lost: bool = False) -> Lock:
        """Return a lock; nothing is asked of the store yet. See `ringfence.LockManager.lock`.

        Args:
            name: 1 to 255 bytes in UTF-8.
            ttl: seconds after which a lease ends unless it is renewed, from 10 ms to a day.
            renew: whether leases are renewed, each third of the ttl, until they are released.
            cancel_on_lost: cancel the task in an `async with` block when its lease is lost; the block then raises
                `LeaseLost`.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds.
        """
        return Lock(self._session, name, ttl, renew, cancel_on_lost)

    def rwlock(
        self, name: str, ttl: float = 10.0, renew: bool = True, *, cancel_on_lost: bool = False
    ) -> RWLock[Lock]:
        """Return a lock to read and one to write; see `ringfence.LockManager.rwlock`.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds, or the store does not carry such locks.
        """
        return RWLock(
            self._store, name, lambda share: self.lock(share, ttl, renew, cancel_on_lost=cancel_on_lost)
        )

    def semaphore(
        self,
        name: str,
        permits: int,
        ttl: float = 10.0,
        renew: bool = True,
        *,
        cancel_on_lost: bool = False,
    ) -> Lock:
        """Return a lock that `permits` may hold at once; see `ringfence.LockManager.semaphore`.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds, or the store does not carry semaphores.
        """
        return self.lock(permit(self._store, name, permits), ttl, renew, cancel_on_lost=cancel_on_lost)

    def rlock(
        self, name: str, ttl: float = 10.0, renew: bool = True, *, cancel_on_lost: bool = False
    ) -> RLock:
        """Return a reentrant lock: the task that holds it may take it again; see `ringfence.LockManager.rlock`.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds.
        """
        return RLock(self._holders, self._session, name, ttl, renew, cancel_on_lost)

    def multi(
        self, names: Iterable[str], ttl: float = 10.0, renew: bool = True, *, cancel_on_lost: bool = False
    ) -> MultiLock:
        """Return several locks as one: all of them are taken, or none; see `ringfence.LockManager.multi`.

        Raises:
            InvalidType: an argument has the wrong type; a `str` is not several names.
            InvalidValue: an argument is out of bounds, or there is no name.
        """
        return MultiLock(self._session, names, ttl, renew, cancel_on_lost)

    def election(
        self, name: str, value: str = "", ttl: float = 10.0, *, cancel_on_lost: bool = False
    ) -> Election:
        """Return an election, to be a candidate in, or to see who leads; see `ringfence.LockManager.election`.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds.
        """
        return Election(self._session, name, value, ttl, cancel_on_lost)

    def barrier(self, name: str, parties: int, ttl: float = 10.0) -> Barrier:
        """Return a barrier: nobody goes on before so many have come; see `ringfence.LockManager.barrier`.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds, or the store does not carry shared locks.
        """
        return Barrier(self._session, name, parties, ttl)

    def once(self, name: str, within: float, ttl: float = 10.0) -> Once:
        """Return something that one of all processes does, once within a time; see `ringfence.LockManager.once`.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds, or the store forgets when a session ends.
        """
        return Once(self._session, name, within, ttl)

    def locked(
        self, name: str, ttl: float = 10.0, renew: bool = True, *, cancel_on_lost: bool = False
    ) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, T]]]:
        """Decorate a coroutine function so that each call holds a lock; see `ringfence.LockManager.locked`.

        Raises:
            InvalidType: an argument has the wrong type, or a plain function is decorated.
            InvalidValue: an argument is out of bounds, or the name has a field that is no parameter.
        """
        check_ttl(ttl)

        def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
            check_function(function, coroutine=True)
            naming = Naming(name, function)

            @functools.wraps(function)
            async def call(*arguments: P.args, **named: P.kwargs) -> T:
                async with self.lock(naming(*arguments, **named), ttl, renew, cancel_on_lost=cancel_on_lost):
                    return await function(*arguments, **named)

            return call

        return decorate

    async def adopt(self, token: str) -> Lease:
        """Take over a lease that was handed over, by a thread or a task; see `ringfence.LockManager.adopt`.

        Raises:
            InvalidType: the token is not a string.
            InvalidValue: it is none, or this store's leases cannot be handed over.
            LeaseLost: it was adopted before, or its lease is over, or is not one of this store.
            StoreError: the store failed or did not answer; the lease is nobody's then, and ends with its ttl.
        """
        return await arun(adopting(self._session, token, Lease))

    async def leases(self) -> list[Holder]:
        """Return all locks of the store that are held, by whomever.

        Raises:
            StoreError: the store failed or did not answer.
        """
        return await arun(_ask(self._store, "leases"))

    async def close(self) -> None:
        """Release every lease that is still held, stop the timer and close the store. Twice is harmless.

        Raises:
            StoreError: a lease could not be released, and its ttl will end it; all else is closed all the same.
        """
        if self._session.closed:
            return
        self._session.stop()
        try:
            await self._release_all()
        finally:
            await self._session.close()
            await arun(_ask(self._store, "close"))

    async def _release_all(self) -> None:
        held = self._session.held()
        answers = await asyncio.gather(*(arun(lease._releasing()) for lease in held), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, StoreError):
                raise answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _ask(store: object, operation: str) -> Effects[Any]:
    return (yield Call(store, operation))
