"""What `lock run` starts: a process that ties its life to the runner's, and then becomes the command.

It is run as a file by an interpreter of its own, without `site`, because whatever has to be done between fork and exec
is not safe in a process with threads. It takes the process id of the runner, and the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

NOT_EXECUTABLE = 126
NOT_FOUND = 127
_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the runner dies, where it can (Linux, prctl(2)); exec keeps that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it was asked to tell
        os.kill(os.getpid(), signal.SIGKILL)


def restore_signals() -> None:
    """Undo what starting Python did to signals, then take those that the runner has held back."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def become(command: list[str]) -> int:
    """Become the command; if that is not possible, say why and return the exit code, as shells have it."""
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"ringfence: cannot run {command[0]!r}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError | NotADirectoryError) else NOT_EXECUTABLE


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    restore_signals()
    sys.exit(become(sys.argv[2:]))
