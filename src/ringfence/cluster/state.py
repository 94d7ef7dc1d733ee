"""Which ring a shard obeys: one row on every shard, and a cluster's view of it.

    epoch 1, previous None      every key is on the shard that the ring names
    epoch 2, previous epoch 1   migrating: a key whose owner changed is on its old owner or on its new one
    epoch 2, previous None      migrated; clients that still believe in `previous` do no harm, only a little more work

The row changes on all shards of the two rings in one transaction, or on none.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import Any

from ringfence.cluster.entries import Key
from ringfence.errors import StoreDamaged
from ringfence.placement import HashRing, Node

FIELDS = ("epoch", "ring", "previous", "fence")


@dataclass(frozen=True, slots=True)
class RingState:
    """What a shard knows of the ring.

    Attributes:
        ring: says where keys belong; its epoch is the shard's epoch.
        previous: the ring before, while keys are still being moved from it; else None.
        fence: the fence of the last rebalancer that wrote here; 0 for none.
    """

    ring: HashRing
    previous: HashRing | None = None
    fence: int = 0

    @property
    def epoch(self) -> int:
        """The epoch of the ring."""
        return self.ring.epoch

    @property
    def names(self) -> list[str]:
        """Every shard that can hold keys, in order of name."""
        rings = (self.ring,) if self.previous is None else (self.ring, self.previous)
        return sorted({name for ring in rings for name in ring.nodes})

    def places(self, key: Key) -> tuple[str, str]:
        """The old and the new owner of `key`; the same one, except for a key that is to move."""
        owner = self.ring.lookup(key)
        return (owner if self.previous is None else self.previous.lookup(key)), owner

    def row(self) -> tuple[int, str, str | None, int]:
        """The values of `FIELDS`, as a shard keeps them."""
        previous = None if self.previous is None else ring_to_text(self.previous)
        return self.epoch, ring_to_text(self.ring), previous, self.fence

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> RingState:
        """The state kept as `row`.

        Raises:
            StoreDamaged: the row is not one that `row()` wrote.
        """
        _, ring, previous, fence = row
        return cls(ring_from_text(ring), None if previous is None else ring_from_text(previous), fence)


def ring_to_text(ring: HashRing) -> str:
    """All that a ring is made of, as JSON."""
    nodes = [astuple(ring.node(name)) for name in ring.nodes]
    options = {"epoch": ring.epoch, "vnodes": ring.vnodes, "seed": ring.seed, "hash": ring.hash}
    return json.dumps({**options, "nodes": nodes})


def ring_from_text(text: Any) -> HashRing:
    """The ring that `ring_to_text` wrote.

    Raises:
        StoreDamaged: the text does not describe a ring.
    """
    try:
        spec = json.loads(text)
        nodes = [Node(*fields) for fields in spec["nodes"]]
        key_hash = spec.get("hash", "murmur3")  # which rows that are older do not have
        return HashRing(nodes, vnodes=spec["vnodes"], seed=spec["seed"], epoch=spec["epoch"], hash=key_hash)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreDamaged(f"no ring in {str(text)[:80]!r} of the shard's state row: {error}") from error
