"""The signals of the runner: before the command starts they end it, from then on they are handed on."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType

FORWARDED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
"""Signals that are meant for the command."""

LOST = 0
"""What stands among the events for a lease that was lost; the others are numbers of signals."""

Handler = Callable[[int, FrameType | None], object]


class Events:
    """What happened to the runner, in order: numbers of signals, and `LOST`."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._closed = False
        self._lock = threading.Lock()

    def lost(self, _lease: object) -> None:
        """Note that the lease was lost; any thread may call this."""
        with self._lock:
            if not self._closed:
                os.write(self._writer, bytes([LOST]))

    def wait(self, seconds: float | None) -> bytes:
        """Return what has happened; wait for it, None for as long as it takes."""
        ready, _, _ = select.select([self._reader], [], [], seconds)
        return os.read(self._reader, 4096) if ready else b""

    def collect(self) -> int:
        """Have the interpreter note the signals that it handles; return where it noted them before."""
        return signal.set_wakeup_fd(self._writer)

    def close(self) -> None:
        """Take in nothing any more."""
        with self._lock:
            self._closed = True
            os.close(self._reader)
            os.close(self._writer)


@contextmanager
def ending() -> Iterator[None]:
    """Let the signals that would end the runner at once raise `SystemExit(128 + n)`, so that it releases the lock."""
    with _handled(_heeded((signal.SIGHUP, signal.SIGTERM)), _end):
        yield


@contextmanager
def collected() -> Iterator[Events]:
    """Collect the signals that are meant for the command, and those that tell of its end."""
    with closing(Events()) as events, _handled([*_heeded(FORWARDED), signal.SIGCHLD], _collect):
        before = events.collect()
        try:
            yield events
        finally:
            signal.set_wakeup_fd(before)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold back the signals meant for the command, in a process started meanwhile too, until that can take them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heeded(numbers: tuple[signal.Signals, ...]) -> list[signal.Signals]:
    """Those that whoever started the runner has not had ignored, as `nohup` does."""
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def _handled(numbers: list[signal.Signals], handler: Handler) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _collect(_number: int, _frame: FrameType | None) -> None:
    pass  # the interpreter writes its number into the pipe of `Events`
