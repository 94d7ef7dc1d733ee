"""The points at which a process can stop in the middle of a transaction, by name, and how to stop there.

All that the protocols do are operations of participants, decision stores and disks. So a point is a place just before
or after one of those, or between a request and its answer. A `Trap` is put into the objects that one process uses, and
acts there: kills the process, stops it, or raises what a failing disk would. The product itself has no hooks.

    trap = Trap(POINTS["decided"].place, kill)
    tm = TransactionManager("sqlite:///decisions.db", {"east": ..., "west": ...})
    trap.watch(tm.decisions, *tm.participants.values())

The numbers are those of the list of crash points in the documentation of the tests. 19 to 22 and 26 are about what
others do while a process stands still at one of these. 23 (sagas), 24 (try, confirm, cancel) and 25 (outbox) are of
protocols that are not there yet.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

When = Literal["before", "sent", "after"]


class Place(NamedTuple):
    """A place in what a process does.

    Attributes:
        operation: of a participant, a decision store or a disk.
        when: before it is asked for; when it is sent and not answered, or half done; after it was answered.
        nth: the first, the second ... time that it is.
        of: only with an argument that ends so, as of files.
    """

    operation: str
    when: When
    nth: int = 1
    of: str = ""


class Point(NamedTuple):
    """A crash point.

    Attributes:
        number: in the list.
        process: who stops there.
        place: where that is.
        only: the kind of decision store, or of transaction, that has this point; all, if empty.
    """

    number: int
    process: Literal["coordinator", "recoverer"]
    place: Place
    only: str = ""


POINTS: Mapping[str, Point] = {
    "first-begun": Point(1, "coordinator", Place("begin", "after")),
    "second-begun": Point(1, "coordinator", Place("begin", "after", 2)),
    "first-statement": Point(2, "coordinator", Place("execute", "after")),
    "second-statement": Point(2, "coordinator", Place("execute", "after", 2)),
    "first-prepare-sent": Point(3, "coordinator", Place("prepare", "sent")),
    "second-prepare-sent": Point(3, "coordinator", Place("prepare", "sent", 2), "no marker"),
    "first-prepared": Point(4, "coordinator", Place("prepare", "after")),
    "second-prepared": Point(4, "coordinator", Place("prepare", "after", 2), "no marker"),
    "voted": Point(5, "coordinator", Place("put_if_absent", "before"), "no marker"),
    "voted-for-marker": Point(5, "coordinator", Place("decide", "before"), "marker"),
    "record-half-written": Point(6, "coordinator", Place("write", "sent", 2, ".log"), "log"),
    "record-written": Point(7, "coordinator", Place("sync", "before", 2, ".log"), "log"),
    "record-synced": Point(9, "coordinator", Place("sync", "after", 2, ".log"), "log"),
    "decided": Point(9, "coordinator", Place("put_if_absent", "after"), "no marker"),
    "first-commit-sent": Point(10, "coordinator", Place("commit", "sent")),
    "second-commit-sent": Point(10, "coordinator", Place("commit", "sent", 2), "no marker"),
    "first-committed": Point(11, "coordinator", Place("commit", "after")),
    "between-commits": Point(12, "coordinator", Place("commit", "before", 2), "no marker"),
    "all-committed": Point(13, "coordinator", Place("commit", "after", 2), "no marker"),
    "pack-half-written": Point(14, "coordinator", Place("write", "sent", 1, ".pack.new"), "log"),
    "segment-half-written": Point(15, "coordinator", Place("write", "sent", 1, ".log.new"), "log"),
    "segment-named": Point(15, "coordinator", Place("rename", "after", 1, ".log"), "log"),
    "segment-packed": Point(16, "coordinator", Place("remove", "before", 1, ".log"), "log"),
    "segment-removed": Point(16, "coordinator", Place("remove", "after", 1, ".log"), "log"),
    "marker-sent": Point(17, "coordinator", Place("decide", "sent"), "marker"),
    "marker-decided": Point(17, "coordinator", Place("decide", "after"), "marker"),
    "one-phase-sent": Point(17, "coordinator", Place("one_phase", "sent"), "one phase"),
    "one-phase-done": Point(17, "coordinator", Place("one_phase", "after"), "one phase"),
    "first-scanned": Point(18, "recoverer", Place("recover", "after")),
    "scanned": Point(18, "recoverer", Place("recover", "after", 2)),
    "won": Point(18, "recoverer", Place("put_many", "after")),
    "first-resolved": Point(18, "recoverer", Place("resolve", "after")),
    "second-resolved": Point(18, "recoverer", Place("resolve", "after", 2), "no marker"),
}
"""All of them, by name."""

_KINDS = {"commit": "resolve", "rollback": "resolve", "resolve_many": "resolve"}


class Trap:
    """Acts once, when its process reaches a place.

    Args:
        place: where.
        act: what to do there; `kill`, `stop`, or something that raises what a failing disk would.
    """

    def __init__(self, place: Place, act: Callable[[], object]) -> None:
        self._place = place
        self._act = act
        self._reached = 0
        self._sprung = False
        self._guard = threading.Lock()

    def watch(self, *targets: Any) -> None:
        """Put the trap into participants, decision stores or disks."""
        for target in targets:
            for operation in self._operations():
                if hasattr(target, operation):
                    setattr(target, operation, self._watched(operation, getattr(target, operation)))
            if hasattr(target, "send"):
                target.send = partial(self._send, target.send)

    def reached(self, operation: str, when: When, *args: object) -> None:
        """Act if this is the place."""
        with self._guard:
            if self._sprung or when != self._place.when or not self._is_here(operation, args):
                return
            self._reached += 1
            self._sprung = self._reached == self._place.nth
            if not self._sprung:
                return
        self._act()

    def _operations(self) -> list[str]:
        operation = self._place.operation
        return [name for name, kind in _KINDS.items() if kind == operation] or [operation]

    def _is_here(self, operation: str, args: tuple[object, ...]) -> bool:
        if self._place.operation not in (operation, _KINDS.get(operation)):
            return False
        return not self._place.of or any(
            isinstance(arg, str) and arg.endswith(self._place.of) for arg in args
        )

    def _watched(self, operation: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any) -> Any:
            self.reached(operation, "before", *args)
            args = self._half_done(operation, original, args)
            answer = original(*args)
            self.reached(operation, "after", *args)
            return answer

        return watched

    def _half_done(
        self, operation: str, original: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Write half of what is to be written, and go on with the rest; everything else has no half."""
        if operation != "write" or self._place.when != "sent":
            self.reached(operation, "sent", *args)
            return args
        name, data, at = (*args, 0)[:3]
        half = len(data) // 2
        original(name, data[:half], at)
        self.reached(operation, "sent", *args)
        return name, data[half:], at + half

    def _send(self, original: Callable[..., Any], operation: str, *args: Any) -> Callable[[], Any] | None:
        """Send ahead, where the target can; it is asked in the ordinary way where it cannot."""
        reached = self._reached
        self.reached(operation, "before", *args)
        receive = original(operation, *args)
        if receive is None:
            self._reached = reached
            return None
        self.reached(operation, "sent", *args)
        return partial(self._receive, receive, operation, *args)

    def _receive(self, receive: Callable[[], Any], operation: str, *args: Any) -> Any:
        answer = receive()
        self.reached(operation, "after", *args)
        return answer


def kill() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    """Let this process stand still until it gets a SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)
