"""Registrations in the memory of this process, for threads and tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ringfence.placement.membership.sources import Entry, Member, Standing
from ringfence.placement.membership.sources.static import EventSource
from ringfence.protocol import now


@dataclass(slots=True)
class _Row:
    entry: Entry
    deadline: float
    beat: int = 0


class MemoryGroup:
    """Who is registered in this process.

    Args:
        clock: seconds; by it registrations end.
    """

    def __init__(self, clock: Callable[[], float] = now) -> None:
        self.lock = threading.Lock()
        self.listeners: list[MemorySource] = []
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._last = 0

    def row(self, name: str) -> _Row | None:
        """Return the registration of a name that has not run out."""
        row = self._rows.get(name)
        return row if row is not None and self._clock() < row.deadline else None

    def members(self) -> list[Member]:
        """Return all nodes that are registered."""
        rows = [row for name in sorted(self._rows) if (row := self.row(name))]
        return [Member(row.entry.node, row.entry.fence, row.beat) for row in rows]

    def put(self, entry: Entry) -> int:
        """Write a registration in place of any other of its name, and return its fence."""
        self._last += 1
        self._rows[entry.node.name] = _Row(entry._replace(fence=self._last), self._clock() + entry.ttl)
        return self._last

    def extend(self, row: _Row) -> None:
        """Let a registration last for its ttl from now."""
        row.deadline, row.beat = self._clock() + row.entry.ttl, row.beat + 1

    def drop(self, name: str) -> None:
        """Take a registration out."""
        del self._rows[name]

    def clear(self) -> None:
        """Forget all registrations, as a server does that has lost its data."""
        self._rows.clear()


class MemorySource(EventSource):
    """Nodes that register in the memory of this process; each `Membership` has a source of its own on one group.

    Args:
        group: who is registered; a new one when it is None.
    """

    def __init__(self, group: MemoryGroup | None = None) -> None:
        super().__init__()
        self._group = group or MemoryGroup()
        self._group.listeners.append(self)

    def read(self) -> list[Member]:
        """Return the nodes that are registered."""
        with self._group.lock:
            return self._group.members()

    def enter(self, entry: Entry) -> int | None:
        """Register a node; see `Registry`."""
        with self._group.lock:
            row = self._group.row(entry.node.name)
            if row is not None and row.entry.owner == entry.owner:
                self._group.extend(row)
                return row.entry.fence
            if row is not None and entry.fence:
                return None
            fence = self._group.put(entry)
        self._announce()
        return fence

    def renew(self, entries: Sequence[Entry]) -> list[Standing]:
        """Extend registrations; see `Registry`."""
        with self._group.lock:
            return [self._renew(entry) for entry in entries]

    def leave(self, entry: Entry) -> None:
        """Take out a registration; see `Registry`."""
        with self._group.lock:
            row = self._group.row(entry.node.name)
            if row is not None and row.entry.owner == entry.owner:
                self._group.drop(entry.node.name)
        self._announce()

    def close(self) -> None:
        """Hear of no more changes."""
        if self in self._group.listeners:
            self._group.listeners.remove(self)

    def _renew(self, entry: Entry) -> Standing:
        row = self._group.row(entry.node.name)
        if row is None:
            return Standing.LOST
        if row.entry.owner != entry.owner:
            return Standing.REPLACED
        self._group.extend(row)
        return Standing.HELD

    def _announce(self) -> None:
        for listener in list(self._group.listeners):
            listener.wake()


_named: dict[str, MemoryGroup] = {}


def named(name: str) -> MemoryGroup:
    """Return the group of that name, the same one everywhere in this process; a new one without a name."""
    return _named.setdefault(name, MemoryGroup()) if name else MemoryGroup()
