"""What goes on in threads of their own: recovery again and again, and the second phase of decided transactions."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType

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

    A round that cannot reach a store is made up for by the next one.

    Args:
        recover: one round.
        every: seconds between the end of a round and the next one.
        seen: called in that thread with what each round did.

    Attributes:
        rounds: how many have ended.
        last: what the last round did; None before the first one has ended, or when that one failed.
        error: why the last round failed, if it did.
    """

    def __init__(
        self, recover: Callable[[], Recovery], every: float, seen: Callable[[Recovery], object]
    ) -> None:
        self.rounds = 0
        self.last: Recovery | None = None
        self.error: RingfenceError | None = None
        self._recover = recover
        self._every = every
        self._seen = seen
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ringfence-recovery", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it when its round has ended. Stopping twice is harmless."""
        self._stopped.set()
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
        except RingfenceError as error:
            self.last, self.error = None, error
        self.rounds += 1
        if self.last is not None:
            self._seen(self.last)


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
            with suppress(Exception):  # recovery will meet what failed here, and say so
                self._finish([first, *(decided for decided in more if decided is not None)])
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
