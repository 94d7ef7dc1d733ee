"""A lock store in the memory of this process, for threads, tasks, tests and the simulator."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder
from ringfence.protocol import now


@dataclass(slots=True)
class _Row:
    owner: str
    fence: int
    deadline: float


class MemoryStore:
    """Leases in a dict.

    Args:
        clock: seconds; by it leases end.
        wall: seconds since 1970; from it fences are derived, so that they go on upward after a restart.
    """

    def __init__(self, clock: Callable[[], float] = now, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._rows: dict[str, _Row] = {}
        self._last = 0
        self._lock = threading.Lock()

    def grant(self, name: str, owner: str, ttl: float) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it."""
        with self._lock:
            until = self._clock() + ttl
            row = self._alive(name)
            if row is None:
                self._last = rules.next_fence(self._last, self._wall())
                row = self._rows[name] = _Row(owner, self._last, until)
            if row.owner != owner:
                return None
            row.deadline = max(row.deadline, until)
            return row.fence

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        """Extend the leases that are still held; for each claim, say whether it is."""
        with self._lock:
            return [self._renew(claim) for claim in claims]

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence; say whether it did."""
        with self._lock:
            row = self._alive(name)
            if row is None or not rules.is_holder(row.owner, row.fence, owner, fence):
                return False
            del self._rows[name]
            return True

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence."""
        with self._lock:
            row = self._rows.get(name)
            if row is not None and row.owner == owner:
                del self._rows[name]

    def holder(self, name: str) -> Holder | None:
        """Return who holds a lock."""
        with self._lock:
            row = self._alive(name)
            return None if row is None else self._holder(name, row)

    def leases(self) -> list[Holder]:
        """Return all locks that are held, by name."""
        with self._lock:
            rows = {name: self._alive(name) for name in sorted(self._rows)}
            return [self._holder(name, row) for name, row in rows.items() if row is not None]

    def close(self) -> None:
        """Do nothing: the store lives as long as the process."""

    def forked(self) -> None:
        """Start afresh in a forked child: the leases are the parent's; fences go on."""
        self._rows = {}
        self._lock = threading.Lock()

    def _renew(self, claim: Claim) -> bool:
        row = self._alive(claim.name)
        if row is None or not rules.is_holder(row.owner, row.fence, claim.owner, claim.fence):
            return False
        row.deadline = max(row.deadline, self._clock() + claim.ttl)
        return True

    def _alive(self, name: str) -> _Row | None:
        row = self._rows.get(name)
        if row is not None and rules.is_over(row.deadline, self._clock()):
            del self._rows[name]
            return None
        return row

    def _holder(self, name: str, row: _Row) -> Holder:
        return Holder(name, row.owner, row.fence, row.deadline - self._clock())


_named: dict[str, MemoryStore] = {}


def named(name: str) -> MemoryStore:
    """Return the store of that name, the same one everywhere in this process."""
    return _named.setdefault(name, MemoryStore())


def _forked() -> None:
    for store in _named.values():
        store.forked()


os.register_at_fork(after_in_child=_forked)
