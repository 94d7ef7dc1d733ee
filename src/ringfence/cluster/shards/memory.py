"""A shard in this process's memory, for tests, the simulator and `memory://`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ringfence.cluster import rules
from ringfence.cluster.entries import StoredKey, Value, order, size
from ringfence.cluster.shards import Mark, Row, no_ring
from ringfence.cluster.state import RingState
from ringfence.transactions.participants.memory import MemoryBranch, MemoryParticipant

STATE = (-1, "ring")
"""Where the state is kept: before all entries, which are kept under `order(key)`."""


class MemoryShard:
    """A shard of a cluster in a participant in memory.

    Args:
        name: the node of the ring that it is.
        participant: keeps its entries and branches.
    """

    def __init__(self, name: str, participant: MemoryParticipant) -> None:
        self.name = name
        self.place = id(participant)
        self.participant = participant

    def state(self) -> RingState | None:
        """Return the last committed state; None before the shard joined a ring."""
        with self.participant.committed() as data:
            return data.get(STATE)

    def read(self, key: StoredKey, epoch: int) -> Value | None:
        """Return the value of `key`, None when it is not here."""
        with self.participant.committed() as data:
            self._check(data.get(STATE), epoch)
            found: Value | None = data.get(order(key))
            return found

    def write(self, key: StoredKey, value: Value, epoch: int) -> None:
        """Put `key`."""
        with self.participant.alone() as branch:
            self._check(branch.get(STATE), epoch)
            branch.put(order(key), value)

    def erase(self, key: StoredKey, epoch: int) -> bool:
        """Delete `key`; was it here?"""
        with self.participant.alone() as branch:
            self._check(branch.get(STATE), epoch)
            return branch.delete(order(key))

    def page(
        self, epoch: int, after: StoredKey, upto: StoredKey | None = None, limit: int = -1
    ) -> list[StoredKey]:
        """Return the keys with `after < key <= upto` in order, the first `limit` of them."""
        with self.participant.committed() as data:
            self._check(data.get(STATE), epoch)
            return _between(data, after, upto)[: None if limit < 0 else limit]

    def join(self, gid: str) -> MemoryShardBranch:
        """Begin a branch of transaction `gid`."""
        return MemoryShardBranch(self.participant.begin(gid))

    def close(self) -> None:
        """Nothing to give back."""

    def _check(self, state: RingState | None, epoch: int) -> None:
        # First: on a shard that is about to join, the ring is in what is prepared.
        rules.check_settled(self.name, next(iter(self.participant.recover()), None))
        if state is None:
            raise no_ring(self.name)
        rules.check_epoch(self.name, epoch, state.epoch)


class MemoryShardBranch:
    """What a transaction does on one shard.

    Args:
        branch: the participant's branch.
    """

    def __init__(self, branch: MemoryBranch) -> None:
        self._branch = branch

    @property
    def wrote(self) -> bool:
        """Has it changed anything?"""
        return self._branch.wrote

    def mark(self) -> Mark | None:
        """Return epoch, migrating and fence; None before the shard joined a ring."""
        state: RingState | None = self._branch.get(STATE)
        return None if state is None else Mark(state.epoch, state.previous is not None, state.fence)

    def set_state(self, state: RingState) -> None:
        """Write the state."""
        self._branch.put(STATE, state)

    def set_fence(self, fence: int) -> None:
        """Write the fence of the state."""
        self._branch.put(STATE, replace(self._branch.get(STATE), fence=fence))

    def empty(self) -> bool:
        """Is there no key here?"""
        return not self._branch.scan(STATE, limit=1)

    def get(self, key: StoredKey) -> Value | None:
        """Return the value of `key`, None when it is not here."""
        found: Value | None = self._branch.get(order(key))
        return found

    def put(self, key: StoredKey, value: Value) -> None:
        """Write `key`."""
        self._branch.put(order(key), value)

    def delete(self, key: StoredKey) -> bool:
        """Delete `key`; was it here?"""
        return self.get(key) is not None and self._branch.delete(order(key))

    def rows(self, keys: Sequence[StoredKey], room: int) -> tuple[list[Row], int]:
        """Return those of `keys` that are here, with their values, ending early once `room` bytes are filled."""
        rows: list[Row] = []
        for seen, key in enumerate(keys):
            if room <= 0:
                return rows, seen
            value = self.get(key)
            if value is not None:
                rows.append((key, value))
                room -= size(value)
        return rows, len(keys)

    def insert(self, rows: Sequence[Row]) -> None:
        """Write keys that are not here."""
        for key, value in rows:
            if self.get(key) is not None:
                self._branch.fail(f"key {key!r} is here already")
            self.put(key, value)

    def discard(self, keys: Sequence[StoredKey]) -> None:
        """Delete keys."""
        for key in keys:
            self.delete(key)


def _between(data: Mapping[Any, Any], after: StoredKey, upto: StoredKey | None) -> list[StoredKey]:
    first, last = order(after), (3, "") if upto is None else order(upto)
    return [key for rank, key in sorted(kept for kept in data if first < kept <= last)]
