"""What rows of leases and places have in common: when they end, and the numbers they get.

Deadlines are kept on the clock that runs on in suspend, with the id of the boot, so that a lease outlives its process
and ends with its ttl or with the machine. The fence counter is a row that is never removed; should the file be lost,
fences go on from the time of day.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from ringfence._sqlite import Connection
from ringfence.locks import rules

FENCES = "CREATE TABLE IF NOT EXISTS ringfence_fence (id INTEGER PRIMARY KEY CHECK (id = 0), last INTEGER NOT NULL)"

_LOOK = 0.025
"""Seconds after which a waiter looks whether another process handed the lock to it."""

_LOOK_IF_NEXT = 0.002
"""The same for the first in the queue; a look takes some 20 µs."""


class Rows:
    """Reads and writes rows, each call within a transaction of its caller.

    Args:
        clock: seconds; by it leases end.
        wall: seconds since 1970; from it fences are derived.
    """

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self.clock = clock
        self.wall = wall

    def issue(self, connection: Connection, fences: int) -> int:
        """Take so many fences, and return the first."""
        rows = connection.execute("SELECT last FROM ringfence_fence").fetchall()
        fence = rules.next_fence(rows[0][0] if rows else 0, self.wall())
        connection.execute(
            "INSERT OR REPLACE INTO ringfence_fence (id, last) VALUES (0, ?)", (fence + fences - 1,)
        )
        return fence

    def has_ended(self, deadline: float, seconds: float, boot: str) -> bool:
        """Say whether what was to end at `deadline`, at most `seconds` after it was written, has ended."""
        moment = self.clock()
        if boot != boot_id() or deadline > moment + seconds:  # written before the clock began anew
            return True
        return rules.is_over(deadline, moment)

    def patience(self, ends: float, is_next: bool) -> float:
        """Return in how many seconds a waiter looks again at a lock that is held until `ends`."""
        return min(ends - self.clock(), _LOOK_IF_NEXT if is_next else _LOOK)


@functools.cache
def boot_id() -> str:
    """Return what differs after a restart of the machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
