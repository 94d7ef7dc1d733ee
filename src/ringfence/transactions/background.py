"""What goes on in threads of their own: recovery again and again, and the second phase of decided transactions."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

from ringfence._report import report
from ringfence.errors import RingfenceError
from ringfence.transactions.recovery import Recovery
from ringfence.transactions.two_phase import Enlisted

Decided = tuple[str, Sequence[Enlisted]]
"""A transaction that is committed, and the branches that still have to be told."""

BACKLOG = 1000
"""How many decided transactions may wait for their second phase, before commits wait for it too."""

AT_ONCE = 100
"""How many of them are told at once."""


class RecoveryWorker:
    """Recovers in a thread, at once and then every few seconds, until it is stopped; leaving a `with` block stops it.

    A round that cannot reach a store is made up for by the next one. Errors that are not the package's own, and those
    of `seen`, go to `threading.excepthook` too.

    Args:
        recover: one round.
        every: seconds between the end of a round and the next one.
        seen: called in that thread with what each round did.

    Attributes:
        rounds: how many have ended.
        last: what the last round did; None before the first one has ended, or when that one failed.
        error: why the last round failed, or `seen` after it, if one did.
    """

    def __init__(
        self, recover: Callable[[], Recovery], every: float, seen: Callable[[Recovery], object]
    ) -> None:
        self.rounds = 0
        self.last: Recovery | None = None
        self.error: Exception | None = None
        self._recover = recover
        self._every = every
        self._seen = seen
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ringfence-recovery", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it when its round has ended; `seen` may stop it too. Stopping twice is harmless."""
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> RecoveryWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._round()
            self._stopped.wait(self._every)

    def _round(self) -> None:
        try:
            self.last, self.error = self._recover(), None
        except Exception as error:
            self.last, self.error = None, error
            if not isinstance(error, RingfenceError):
                report()
        self.rounds += 1
        if self.last is not None:
            self._show(self.last)

    def _show(self, done: Recovery) -> None:
        try:
            self._seen(done)
        except Exception as error:
            self.error = error
            report()


class Finisher:
    """Has decided transactions finished in a thread, several at once.

    Args:
        finish: tells the branches of some of them. What it cannot tell is left to recovery.
    """

    def __init__(self, finish: Callable[[Sequence[Decided]], object]) -> None:
        self._finish = finish
        self._waiting: queue.Queue[Decided | None] = queue.Queue(BACKLOG)
        self._thread = threading.Thread(target=self._work, name="ringfence-second-phase", daemon=True)
        self._thread.start()

    def put(self, gid: str, followers: Sequence[Enlisted]) -> None:
        """Take over a transaction that is decided; wait while too many others do."""
        self._waiting.put((gid, followers))

    def close(self) -> None:
        """End the thread once all are told. Closing twice is harmless."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def _work(self) -> None:
        while True:
            first = self._waiting.get()
            if first is None:
                return
            more = list(self._at_hand())
            try:
                self._finish([first, *(decided for decided in more if decided is not None)])
            except RingfenceError:
                pass  # recovery will meet what failed here, and say so
            except Exception:
                report()
            if None in more:
                return

    def _at_hand(self) -> Iterator[Decided | None]:
        for _ in range(AT_ONCE - 1):
            try:
                decided = self._waiting.get_nowait()
            except queue.Empty:
                return
            yield decided
            if decided is None:
                return
