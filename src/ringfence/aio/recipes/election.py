"""An election among tasks and processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ringfence.aio.locks import Lease, Lock, LoopSession
from ringfence.locks.arguments import check_seconds, check_timeout
from ringfence.locks.recipes.election import NOBODY_YET, BaseElection, Leader, fence_of
from ringfence.protocol import arun


class Election(BaseElection[Lease], Lock):
    """An election of `aio.LockManager.election()`; see `ringfence.Election`.

    ::

        async with manager.election("scheduler", value="10.0.0.7:8080", cancel_on_lost=True):
            await schedule()

        async for leader in manager.election("scheduler").observe():
            print(leader.value if leader else "nobody")
    """

    def __init__(self, session: LoopSession, name: str, value: str, ttl: float, cancel_on_lost: bool) -> None:
        super().__init__(session, name, ttl, True, cancel_on_lost)
        self._stand_for(value)

    async def campaign(self, timeout: float | None = None) -> Lease | None:
        """Wait until this candidate leads; a task that is cancelled is no candidate any more.

        Args:
            timeout: seconds to wait; 0 asks once, None waits for ever.

        Returns:
            The lease of the leader, or None if others led all the time.

        Raises:
            InvalidType: the timeout is neither None nor a number.
            InvalidValue: it is negative.
            StoreError: as of `ringfence.Lock.acquire`; this is no candidate any more.
        """
        return await self._acquire(check_timeout(True, timeout))

    async def _acquire(self, timeout: float | None) -> Lease | None:
        return await arun(self._acquiring(timeout))

    async def leader(self) -> Leader | None:
        """Return who leads now; None if nobody does.

        Raises:
            StoreError: the store failed or did not answer.
        """
        return await arun(self._leading())

    def observe(self, every: float = 1.0) -> AsyncIterator[Leader | None]:
        """Follow who leads: now, and then whenever another one does, or nobody; see `ringfence.Election.observe`.

        Raises:
            InvalidType: `every` is not a number.
            InvalidValue: it is not from 0.01 to 86400 seconds.
            StoreError: the store failed, or the manager was closed. A question that is not answered is asked again.
        """
        return self._observing(check_seconds("every", every))

    async def _observing(self, every: float) -> AsyncIterator[Leader | None]:
        seen = NOBODY_YET
        while True:
            leader = await arun(self._following(seen, every))
            seen = fence_of(leader)
            yield leader
