"""A participant for asyncio, asked as one for threads: each coroutine runs to its end on a loop of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


class Looped:
    """Stands for `opened()`, and for the branches that it begins."""

    def __init__(self, opened: Callable[[], Any], runner: asyncio.Runner | None = None) -> None:
        self._runner = runner or asyncio.Runner()
        self._target = opened()

    def close(self) -> None:
        """Close it, and the loop; twice is harmless."""
        self._run(self._target.close())
        self._runner.close()
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not inspect.ismethod(found):
            return found
        return lambda *arguments: self._run(found(*arguments))

    def _run(self, answer: Any) -> Any:
        if not inspect.isawaitable(answer):
            return answer
        result = self._runner.run(self._awaited(answer))
        return Looped(lambda: result, self._runner) if hasattr(result, "execute") else result

    async def _awaited(self, answer: Any) -> Any:
        return await answer
