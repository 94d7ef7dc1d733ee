"""A barrier for tasks and processes."""

from __future__ import annotations

from ringfence.aio.locks import Lease, Lock, LoopSession
from ringfence.locks.arguments import check_timeout
from ringfence.locks.recipes.barrier import BaseBarrier, arrival
from ringfence.protocol import arun


class Barrier(BaseBarrier[Lease]):
    """A barrier of `aio.LockManager.barrier()`; see `ringfence.Barrier`.

    ::

        await manager.barrier("loaded", parties=4).wait(timeout=60)
    """

    def __init__(self, session: LoopSession, name: str, parties: int, ttl: float) -> None:
        super().__init__(session, Lock(session, arrival(session.store, name, parties), ttl, True), parties)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until all have come; see `ringfence.Barrier.wait`. A task that is cancelled counts no more.

        Raises:
            InvalidType: the timeout is neither None nor a number.
            InvalidValue: it is negative.
            LeaseLost: this party was held up for longer than its ttl and counted no more.
            StoreError: the store failed or did not answer; this party counts no more.
        """
        return await arun(self._waiting(check_timeout(True, timeout)))
