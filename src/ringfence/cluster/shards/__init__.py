"""What a cluster asks of a shard, in memory or in an SQLite file.

A shard is one lock. A branch holds it from `join` until it has ended; a prepared branch still holds it, for it may
yet commit. So whatever reads or writes a shard waits while a prepared transaction stands there (`InDoubt`, to be
tried again), and compares the caller's epoch with the shard's in the same atomic step (`StaleRing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ringfence.cluster.entries import StoredKey, Value
from ringfence.cluster.state import RingState
from ringfence.errors import StoreDamaged
from ringfence.transactions.participants import Participant

Row = tuple[StoredKey, Value]


class Mark(NamedTuple):
    """What every operation looks at: the short form of a shard's state row.

    Attributes:
        epoch: of the shard's ring.
        migrating: keys are being moved.
        fence: of the last rebalancer that wrote the row.
    """

    epoch: int
    migrating: bool
    fence: int


class Shard(Protocol):
    """One shard. Each method is one atomic step, and waits for nothing longer than some milliseconds.

    All may raise `StoreTimeout` (locked; nothing happened); those that are given an epoch also `InDoubt` (a prepared
    transaction stands here) and `StaleRing`.
    """

    @property
    def name(self) -> str:
        """The node of the ring that this shard is."""

    @property
    def place(self) -> object:
        """Where it keeps its entries; no two shards of a cluster may share one."""

    @property
    def participant(self) -> Participant:
        """Prepares, commits and rolls back the branches that `join` began."""

    def state(self) -> RingState | None:
        """The last committed state, prepared changes of it or not; None before the shard joined a ring."""

    def read(self, key: StoredKey, epoch: int) -> Value | None:
        """The value of `key`, None when it is not here."""

    def write(self, key: StoredKey, value: Value, epoch: int) -> None:
        """Put `key`, durably. `OutcomeUnknown` when the disk failed."""

    def erase(self, key: StoredKey, epoch: int) -> bool:
        """Delete `key`, durably; was it here? `OutcomeUnknown` when the disk failed."""

    def page(
        self, epoch: int, after: StoredKey, upto: StoredKey | None = None, limit: int = -1
    ) -> list[StoredKey]:
        """The keys with `after < key <= upto` in order, the first `limit` of them."""

    def join(self, gid: str) -> ShardBranch:
        """Begin a branch of transaction `gid`, which takes the shard's write lock."""

    def close(self) -> None:
        """Give back files and connections."""


class ShardBranch(Protocol):
    """What a transaction does on one shard; it sees its own writes, others see them after its commit."""

    @property
    def wrote(self) -> bool:
        """Has it tried to change anything?"""

    def mark(self) -> Mark | None:
        """Epoch, migrating and fence; None before the shard joined a ring."""

    def set_state(self, state: RingState) -> None:
        """Write the state."""

    def set_fence(self, fence: int) -> None:
        """Write the fence of the state."""

    def empty(self) -> bool:
        """Is there no key here?"""

    def get(self, key: StoredKey) -> Value | None:
        """The value of `key`, None when it is not here."""

    def put(self, key: StoredKey, value: Value) -> None:
        """Write `key`."""

    def delete(self, key: StoredKey) -> bool:
        """Delete `key`; was it here? When it was not, nothing is written."""

    def rows(self, keys: Sequence[StoredKey], size: int) -> tuple[list[Row], int]:
        """Those of `keys` that are here, with their values, ending early once `size` bytes are exceeded.

        Returns:
            the rows, and how many of `keys` were looked at.
        """

    def insert(self, rows: Sequence[Row]) -> None:
        """Write keys that are not here."""

    def discard(self, keys: Sequence[StoredKey]) -> None:
        """Delete keys."""


def no_ring(shard: str) -> StoreDamaged:
    """The error for a shard of the ring that has no state row."""
    return StoreDamaged(
        f"shard {shard!r} belongs to the ring but holds none: its file was emptied or replaced; put it back"
    )
