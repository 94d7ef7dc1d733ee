"""Changes of a ring, and those who want to hear of them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import NamedTuple, Protocol, Self, TypeAlias

from ringfence._report import report
from ringfence.errors import InvalidType
from ringfence.placement.protocol import Diff, Placement


class Change(NamedTuple):
    """A ring was followed by another.

    Attributes:
        old: the ring before.
        new: the ring now.
        diff: which keys have another owner.
    """

    old: Placement
    new: Placement
    diff: Diff


Callback: TypeAlias = Callable[[Placement, Placement, Diff], object]


class Waker(Protocol):
    """Who waits otherwise than in a thread."""

    def wake(self) -> None:
        """Look again; called by another thread, and must not wait."""


class Board:
    """Where rings are published: readers take the newest without a lock, listeners hear of every one.

    Attributes:
        ring: the newest ring.
        closed: there will be no newer one.
    """

    def __init__(self, ring: Placement) -> None:
        self.ring = ring
        self.closed = False
        self._callbacks: list[Callback] = []
        self._news = threading.Condition()
        self._wakers: weakref.WeakSet[Waker] = weakref.WeakSet()

    def publish(self, ring: Placement) -> None:
        """Put `ring` in place of the newest, and tell the listeners."""
        with self._news:
            old, self.ring = self.ring, ring
            self._notify()
            callbacks = list(self._callbacks)
        if callbacks:
            diff = old.diff(ring)
            for callback in callbacks:
                _call(callback, old, ring, diff)

    def listen(self, callback: Callback) -> None:
        """Call `callback(old, new, diff)` at every change from now on."""
        if not callable(callback):
            raise InvalidType(f"on_change takes a function of (old, new, diff), not {callback!r}")
        self._callbacks.append(callback)

    def close(self) -> None:
        """Let everyone who waits for a newer ring go."""
        with self._news:
            self.closed = True
            self._notify()

    def wake(self, waker: Waker) -> None:
        """Call `waker.wake()` at every change and at the end, for as long as somebody refers to it."""
        with self._news:
            self._wakers.add(waker)

    def newer(self, than: Placement, timeout: float | None) -> Placement | None:
        """Wait for a ring other than `than`; return None if there is none in time, or will be none."""
        with self._news:
            self._news.wait_for(lambda: self.ring is not than or self.closed, timeout)
            return self.ring if self.ring is not than else None

    def _notify(self) -> None:
        self._news.notify_all()
        for waker in self._wakers:
            waker.wake()


class Changes:
    """Iterates over the changes of a membership since the iterator was made, until the membership is closed.

    Each change begins with the ring that the one before ended with. Whoever is slow gets several changes as one.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._last = board.ring

    def next(self, timeout: float | None = None) -> Change | None:
        """Wait for the next change; return None if there is none within `timeout` seconds, or will be none."""
        new = self._board.newer(self._last, timeout)
        if new is None:
            return None
        old, self._last = self._last, new
        return Change(old, new, old.diff(new))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        change = self.next()
        if change is None:
            raise StopIteration
        return change


def _call(callback: Callback, old: Placement, new: Placement, diff: Diff) -> None:
    try:
        callback(old, new, diff)
    except Exception:
        report()
