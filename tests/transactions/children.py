"""Child processes that stop or die in the middle of what they do, and are waited for with a limit."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Literal

PATIENCE = 60.0

Say = Callable[[bytes], object]
State = Literal["running", "stopped", "killed", "ended", "failed"]


class Child:
    """A forked process that runs `work(say)`; what it says is read by its parent, even after its death."""

    def __init__(self, work: Callable[[Say], object]) -> None:
        self._reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of the test runner, not used there
            self.pid = os.fork()
        if self.pid == 0:
            self._run(work, partial(os.write, writer))
        os.close(writer)
        os.set_blocking(self._reader, False)
        self.state: State = "running"
        self._said = b""

    def _run(self, work: Callable[[Say], object], say: Say) -> None:
        try:
            work(say)
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(1)

    def wait(self) -> State:
        """Wait until it stopped or is over."""
        deadline = time.monotonic() + PATIENCE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid:
                self.state = _state(status)
                return self.state
            assert time.monotonic() < deadline, "the child neither stops nor ends"
            time.sleep(0.002)

    def go_on(self) -> State:
        """Let it go on after it stopped, and wait again."""
        os.kill(self.pid, signal.SIGCONT)
        return self.wait()

    @property
    def said(self) -> bytes:
        """All that it said so far."""
        try:
            while more := os.read(self._reader, 4096):
                self._said += more
        except BlockingIOError:
            pass
        return self._said

    def close(self) -> None:
        """Kill it unless it is over."""
        if self.state in ("running", "stopped"):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._reader)


def _state(status: int) -> State:
    if os.WIFSTOPPED(status):
        return "stopped"
    code = os.waitstatus_to_exitcode(status)
    return "ended" if code == 0 else "killed" if code == -signal.SIGKILL else "failed"
