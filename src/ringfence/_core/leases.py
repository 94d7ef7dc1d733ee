# cython: annotation_typing=False, auto_pickle=False
"""Lock-token bookkeeping: owner ids, the table of leases a process holds, and the fences a guard has seen."""

from __future__ import annotations

import heapq
import math
import os
import secrets
import threading
from collections.abc import Hashable
from typing import Any, TypeAlias

from ringfence.errors import InvalidType, InvalidValue

_Entry: TypeAlias = tuple[float, int, float, Any]
"""When the lease is due, a serial number of which no two are equal, its deadline, and the lease."""

_SLACK = 64


class _Owners:
    """The owner ids of one process: 128 random bits, then a counter."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(16)
        self._count = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        with self._lock:
            self._count += 1
            return f"{self._process}-{self._count}"


_owners = _Owners()


def new_owner() -> str:
    """Return an owner id that no other acquisition has, here, in a forked child or anywhere else."""
    return _owners.next()


def _forked() -> None:
    global _owners
    _owners = _Owners()


os.register_at_fork(after_in_child=_forked)


class LeaseTable:
    """The leases a process holds, in the order in which something has to be done about them.

    A lease is any hashable value. It is due when it is to be renewed, and at its deadline, when it is lost.
    All times are seconds on one clock of the caller's. Every method may be called by several threads at once.
    `add`, `extend`, `postpone` and `discard` cost O(log n), as does each lease that `due` returns.
    """

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}
        self._heap: list[_Entry] = []  # an entry that is not in the dict any more counts for nothing
        self._serial = 0
        self._lock = threading.Lock()

    def add(self, lease: Hashable, deadline: float, renew_at: float = math.inf) -> None:
        """Take in a lease that ends at `deadline` and is to be renewed at `renew_at`, or never.

        Raises:
            InvalidType: a time is not a number.
            InvalidValue: a time is NaN, or the deadline is infinite: a lease always ends.
        """
        _check_deadline(deadline)
        _check_time(renew_at)
        with self._lock:
            self._schedule(lease, deadline, renew_at)

    def extend(self, lease: Hashable, deadline: float, renew_at: float = math.inf) -> bool:
        """Move the deadline of a lease on, never back; False if the lease is not in the table (any more).

        Raises:
            InvalidType: a time is not a number.
            InvalidValue: a time is NaN, or the deadline is infinite.
        """
        _check_deadline(deadline)
        _check_time(renew_at)
        with self._lock:
            entry = self._entries.get(lease)
            if entry is not None:
                self._schedule(lease, max(deadline, entry[2]), renew_at)
            return entry is not None

    def postpone(self, lease: Hashable, renew_at: float) -> bool:
        """Have a lease renewed at another time; False if it is not in the table.

        Raises:
            InvalidType: the time is not a number.
            InvalidValue: the time is NaN.
        """
        _check_time(renew_at)
        with self._lock:
            entry = self._entries.get(lease)
            if entry is not None:
                self._schedule(lease, entry[2], renew_at)
            return entry is not None

    def discard(self, lease: Hashable) -> bool:
        """Forget a lease; False if it was not in the table."""
        return bool(self.pop(lease) > -math.inf)

    def pop(self, lease: Hashable) -> float:
        """Forget a lease and return when it ends; minus infinity if it was not in the table."""
        with self._lock:
            entry = self._entries.pop(lease, None)
            self._compact()
        return -math.inf if entry is None else entry[2]

    def due(self, now: float) -> tuple[list[Any], list[Any]]:
        """Return the leases to renew and the leases that are lost, each in the order of their times.

        A lost lease leaves the table: it is reported once. A lease to renew is due again at its deadline,
        unless it is extended or postponed before.
        """
        renew: list[Any] = []
        lost: list[Any] = []
        with self._lock:
            while self._next_due() <= now:
                _, _, deadline, lease = heapq.heappop(self._heap)
                if deadline <= now:
                    del self._entries[lease]
                    lost.append(lease)
                else:
                    self._schedule(lease, deadline, math.inf)
                    renew.append(lease)
        return renew, lost

    def next_due(self) -> float:
        """Return when `due` will have something to say next; infinity when the table is empty."""
        with self._lock:
            return self._next_due()

    def deadline(self, lease: Hashable) -> float:
        """Return when a lease ends; minus infinity if it is not in the table, for then it has ended."""
        with self._lock:
            entry = self._entries.get(lease)
        return -math.inf if entry is None else entry[2]

    def leases(self) -> list[Any]:
        """Return the leases of the table, in the order in which they were added."""
        with self._lock:
            return list(self._entries)

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def __contains__(self, lease: Hashable) -> bool:
        with self._lock:
            return lease in self._entries

    def _schedule(self, lease: Hashable, deadline: float, renew_at: float) -> None:
        self._serial += 1
        entry = (min(renew_at, deadline), self._serial, deadline, lease)
        self._entries[lease] = entry
        heapq.heappush(self._heap, entry)
        self._compact()

    def _next_due(self) -> float:
        while self._heap:
            if self._is_current(self._heap[0]):
                return self._heap[0][0]
            heapq.heappop(self._heap)
        return math.inf

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + _SLACK:
            self._heap = [entry for entry in self._heap if self._is_current(entry)]
            heapq.heapify(self._heap)

    def _is_current(self, entry: _Entry) -> bool:
        return self._entries.get(entry[3]) is entry


class FenceMarks:
    """The highest fence seen of each resource: what a guard in memory refuses stale writers by.

    Every method may be called from several threads at once.
    """

    def __init__(self) -> None:
        self._marks: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def admit(self, resource: Hashable, fence: int) -> bool:
        """Raise the mark of a resource to `fence`; False, and no change, if the mark is higher already.

        Raises:
            InvalidType: the fence is not an int.
            InvalidValue: the fence is negative.
        """
        check_fence(fence)
        with self._lock:
            if fence < self._marks.get(resource, 0):
                return False
            self._marks[resource] = fence
            return True

    def mark(self, resource: Hashable) -> int:
        """Return the highest fence admitted for a resource; 0 if there was none."""
        with self._lock:
            return self._marks.get(resource, 0)


def check_fence(fence: object) -> None:
    """Refuse what cannot be a fence.

    Raises:
        InvalidType: it is not an int.
        InvalidValue: it is negative, or does not fit in 63 bits.
    """
    if isinstance(fence, bool) or not isinstance(fence, int):
        raise InvalidType(f"a fence is an int, not {fence!r}; pass lease.fence")
    if not 0 <= fence < 2**63:
        raise InvalidValue(f"a fence is from 0 to 2**63 - 1, not {fence}; pass lease.fence")


def _check_deadline(value: object) -> None:
    _check_time(value)
    if value == math.inf or value == -math.inf:
        raise InvalidValue(f"a lease always ends: its deadline cannot be {value!r}")


def _check_time(value: object) -> None:
    if type(value) is float and value == value:  # what is mostly so
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidType(f"a time is a number of seconds, not {value!r}")
    if value != value:
        raise InvalidValue("a time cannot be NaN")
