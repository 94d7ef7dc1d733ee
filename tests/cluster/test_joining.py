"""A shard that is about to join the ring: what it obeys is prepared, and not yet committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ringfence.cluster.entries import FIRST
from ringfence.cluster.shards import Shard
from ringfence.cluster.state import RingState
from ringfence.errors import InDoubt, StoreDamaged
from ringfence.placement import HashRing

Store = Any
GID = "rebalance.1.1"
RING = HashRing(["a", "b", "c"])

OPERATIONS: dict[str, Callable[[Shard], object]] = {
    "read": lambda shard: shard.read("k", RING.epoch),
    "write": lambda shard: shard.write("k", "v", RING.epoch),
    "erase": lambda shard: shard.erase("k", RING.epoch),
    "page": lambda shard: shard.page(RING.epoch, FIRST),
}


def joining(store: Store) -> Shard:
    cluster = store.open("abcd", ring=RING)
    shard: Shard = cluster._view.shards["d"]
    return shard


@pytest.mark.parametrize("operation", OPERATIONS)
def test_others_wait_for_the_ring_that_is_prepared_there(store: Store, operation: str) -> None:
    shard = joining(store)
    branch = shard.join(GID)
    branch.set_state(RingState(RING))
    shard.participant.prepare(GID)
    with pytest.raises(InDoubt, match=GID):
        OPERATIONS[operation](shard)
    shard.participant.commit(GID)
    OPERATIONS[operation](shard)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_shard_of_the_ring_that_has_none_is_damaged(store: Store, operation: str) -> None:
    with pytest.raises(StoreDamaged, match="holds none"):
        OPERATIONS[operation](joining(store))
