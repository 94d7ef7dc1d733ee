"""Several locks at once, for tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType

from ringfence.aio.cancelling import CancelOnLost
from ringfence.aio.locks import Lease, Lock, LoopSession
from ringfence.errors import LeaseLost
from ringfence.locks.arguments import check_timeout
from ringfence.locks.lock import Entered
from ringfence.locks.recipes.multi import BaseLeases, BaseMultiLock, released
from ringfence.protocol import arun


class Leases(BaseLeases[Lease]):
    """The leases of several locks, from `MultiLock.acquire()`; see `ringfence.Leases`."""

    async def release(self) -> bool:
        """Give all of them back; return whether all were still held. A second call returns False.

        Raises:
            StoreError: the store failed or did not answer for one of them; the others were given back.
        """
        return await arun(released(self))


class MultiLock(BaseMultiLock[Lease]):
    """Several locks of `aio.LockManager.multi()`, taken all or nothing; see `ringfence.MultiLock`.

    ::

        async with manager.multi(["account:1", "account:2"]) as leases:
            await transfer(leases.fences)
    """

    def __init__(
        self, session: LoopSession, names: Iterable[str], ttl: float, renew: bool, cancel_on_lost: bool
    ) -> None:
        super().__init__(names, lambda name: Lock(session, name, ttl, renew))
        self._cancel_on_lost = bool(cancel_on_lost)
        self._entered: Entered[tuple[Leases, CancelOnLost | None]] = Entered()

    async def acquire(self, blocking: bool = True, timeout: float | None = None) -> Leases | None:
        """Take all of the locks; see `ringfence.MultiLock.acquire`.

        Returns:
            The leases, or None if one was not to be had in time; then none is held.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: the timeout is negative, or given beside `blocking=False`.
            StoreError: the store failed, or did not answer until the timeout; none of the locks is held.
        """
        leases = await arun(self._acquiring(check_timeout(blocking, timeout)))
        return None if leases is None else Leases(leases)

    async def __aenter__(self) -> Leases:
        leases = await self.acquire()
        assert leases is not None
        block = CancelOnLost(leases) if self._cancel_on_lost else None
        self._entered.push(asyncio.current_task(), (leases, block))
        return leases

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leases, block = self._entered.pop(asyncio.current_task(), ", ".join(self.names))
        cancelled = block is not None and block.leave(error)
        lost = next((lease for lease in leases._leases.values() if not lease.valid), None)
        await arun(self._leaving(leases, error))
        if cancelled and lost is not None:
            raise LeaseLost(lost.name, lost.fence) from error
