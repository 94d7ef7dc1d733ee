"""What is done in another thread, or is waited for, within bounds."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ringfence import aio

T = TypeVar("T")
LONG = 30.0


class Beside(Generic[T]):
    """A function that runs in a thread of its own."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> T:
        self._thread.join(LONG)
        assert not self._thread.is_alive(), "it did not end"
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:
            self._errors.append(error)


def taken(lease: T | None) -> T:
    assert lease is not None
    return lease


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.002)


async def asked(manager: aio.LockManager, operation: str, *arguments: Any) -> Any:
    """What the store answers, whether it is asked on the event loop or beside it."""
    answer = getattr(manager._store, operation)(*arguments)
    return await answer if inspect.isawaitable(answer) else answer
