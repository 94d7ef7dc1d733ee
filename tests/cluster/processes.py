"""Child processes that work on a cluster, and kill themselves at a chosen step."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from ringfence import _sqlite, protocol

Acknowledge = Callable[[], object]

STEPS = frozenset(
    {"grant", "release", "start", "join", "set_state", "set_fence", "insert", "discard", "put", "delete"}
)
STEPS |= {"prepare", "put_if_absent", "commit", "one_phase", "rollback", "write", "erase"}
"""The steps of the protocols that leave something behind, or take a lock."""


def forked(work: Callable[[Acknowledge], object]) -> tuple[int, bool]:
    """Run `work` in a forked child; return its exit status (-9 when it killed itself) and whether it acknowledged."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # threads of the test runner; they are not used here
        child = os.fork()
    if child == 0:
        _child(work, partial(os.write, writer, b"!"))
    os.close(writer)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    acknowledged = os.read(reader, 1) == b"!"
    os.close(reader)
    return status, acknowledged


def _child(work: Callable[[Acknowledge], object], acknowledge: Acknowledge) -> None:
    try:
        work(acknowledge)
        os._exit(0)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)


class Killer:
    """Kills this process just before its step of a certain number.

    Args:
        statements: whether each SQL statement is a step, on any connection opened from now on; or else those requests
            of the protocols that are `STEPS`.
    """

    def __init__(self, statements: bool) -> None:
        self.left = 0
        if statements:
            self._watch_statements()
        else:
            self._watch_requests()

    def arm(self, number: int) -> None:
        """Let the step of that number, from now on, be the last."""
        self.left = number

    def disarm(self) -> None:
        """Let this process live."""
        self.left = 0

    def count(self, step: object) -> None:
        """Die, when it is time."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _watch_statements(self) -> None:
        killer = self

        class Dying(_sqlite.Connection):
            def __init__(self, *args: Any, **more: Any) -> None:
                super().__init__(*args, **more)
                self.set_trace_callback(killer.count)

        _sqlite.CONNECTION = Dying

    def _watch_requests(self) -> None:
        perform = protocol._call

        def counted(call: protocol.Call) -> Any:
            if call.operation in STEPS:
                self.count(call)
            return perform(call)

        protocol._call = counted


class Child:
    """A forked process that does `work(tell)`; `tell(word)` lets `wait_for` return in the parent.

    The parent must not have files open that the child opens.
    """

    running: ClassVar[list[Child]] = []

    def __init__(self, work: Callable[[Callable[[str], object]], object]) -> None:
        self._reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            _child(partial(_telling, work, writer), lambda: None)
        os.close(writer)
        self._words = os.fdopen(self._reader)
        self.running.append(self)

    def wait_for(self, word: str) -> str:
        """Wait until the child says something that begins with `word`; return the rest."""
        said = []
        for line in self._words:
            if line.startswith(word):
                return line.removeprefix(word).strip()
            said.append(line)
        raise AssertionError(f"the child ended without saying {word!r}, but {said}")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait_until_stopped(self) -> None:
        """Wait until the child has stopped itself."""
        os.waitpid(self.pid, os.WUNTRACED)

    def end(self, number: int | None = None) -> int:
        """Wait for its end, after a signal if one is given; return its status."""
        if number is not None:
            self.signal(number)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._words.close()
        self.running.remove(self)
        return status

    @classmethod
    def end_all(cls) -> None:
        """Kill what a failed test has left behind."""
        for child in list(cls.running):
            child.end(signal.SIGKILL)


def _telling(work: Callable[[Callable[[str], object]], object], writer: int, _: Acknowledge) -> None:
    work(lambda word: os.write(writer, f"{word}\n".encode()))
