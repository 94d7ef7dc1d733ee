"""Something that one of all tasks and processes does, once in a while."""

from __future__ import annotations

import asyncio
from types import TracebackType

from ringfence.aio.locks import Lease, Lock, LoopSession
from ringfence.locks.recipes.once import BaseOnce, Turn
from ringfence.protocol import arun


class Once(BaseOnce[Lease]):
    """Something that one of all tasks and processes does within a time; see `ringfence.Once`.

    ::

        async with manager.once("report", within=3600) as turn:
            if turn:
                await send_report()
    """

    def __init__(self, session: LoopSession, name: str, within: float, ttl: float) -> None:
        super().__init__(session, Lock(session, name, ttl, True), within)

    async def __aenter__(self) -> Turn[Lease]:
        turn = await arun(self._beginning())
        self._entered.push(asyncio.current_task(), turn)
        return turn

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        turn = self._entered.pop(asyncio.current_task(), self._lock.name)
        await arun(self._ending(turn, error))
