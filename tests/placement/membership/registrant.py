"""A process that registers one node, and says what happens to it; it ends when its standard input does."""

import contextlib
import queue
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import IO, Self

from ringfence.placement import HashRing, Node
from ringfence.placement.membership import Membership, Registration


def main(url: str, name: str, ttl: str, weight: str) -> None:
    """Register until standard input ends."""
    known = HashRing([name])  # so that it starts even when it is the first
    with Membership.from_url(url, known) as membership:
        registration = membership.register(Node(name, float(weight)), ttl=float(ttl))
        registration.on_lost(tell)
        print("registered", registration.fence, flush=True)
        sys.stdin.read()


def tell(registration: Registration) -> None:
    """Say that it was lost, and why."""
    print("replaced" if registration.replaced else "lapsed", registration.fence, flush=True)


class Registrant:
    """Such a process, seen from outside."""

    def __init__(self, url: str, name: str, ttl: float = 2.0, weight: float = 1.0) -> None:
        arguments = [sys.executable, __file__, url, name, str(ttl), str(weight)]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        try:
            self.fence = self.hears("registered")
        except BaseException:
            self.close()
            raise

    def hears(self, word: str, seconds: float = 60.0) -> int:
        """Wait for the next word, which must be this one; return the fence."""
        said, fence = self._lines.get(timeout=seconds).split()
        assert said == word, (said, fence)
        return int(fence)

    def said(self) -> list[str]:
        """Return all that it has said and nobody waited for."""
        return list(self._lines.queue)

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        self._process.kill()
        self._process.wait(60)

    def pause(self) -> None:
        """Stop it."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Let it leave."""
        try:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self.resume()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
        finally:
            self.kill()
            self._reader.join(30)
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._lines.put(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
