"""Moving keys to a new ring, and clients that have the old one."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.cluster import Cluster
from ringfence.cluster.shards import sqlite as sqlite_shard
from ringfence.errors import (
    InvalidType,
    InvalidValue,
    StaleRing,
    UnknownNode,
)
from ringfence.placement import HashRing

Store = Any
NAMES = ("a", "b", "c")
KEYS: list[Any] = [
    *(f"user:{number}" for number in range(40)),
    *(b"%d" % number for number in range(20)),
    *range(20),
    2**64 - 1,
]


def fill(cluster: Cluster) -> dict[Any, str]:
    values = {key: f"value of {key!r}" for key in KEYS}
    for key, value in values.items():
        cluster.put(key, value)
    return values


def test_it_moves_exactly_the_keys_of_the_diff(store: Store) -> None:
    cluster = store.open("abcd", ring=HashRing(NAMES))
    values = fill(cluster)
    new = cluster.ring.with_node("d")
    moving = [key for key in KEYS if cluster.ring[key] != new[key]]
    report = cluster.rebalance(new)
    assert report.keys == len(moving) > 0
    assert report.bytes == sum(len(values[key]) for key in moving)
    assert report.epoch == 1
    assert len(store.placed("abcd")) == len(KEYS)
    assert all(cluster.get(key) == value for key, value in values.items())
    assert len(store.contents("d")) == len(moving)
    assert not cluster.migrating


def test_shards_keep_the_hash_of_their_ring_and_can_change_it(store: Store) -> None:
    first = HashRing(NAMES, hash="md5")
    values = fill(store.open(ring=first))
    cluster = store.open()
    assert cluster.ring == first
    assert all(cluster.get(key) == value for key, value in values.items())
    new = HashRing(NAMES, epoch=1)
    report = cluster.rebalance(new)
    assert report.keys == sum(first[key] != new[key] for key in KEYS) > 0
    assert all(cluster.get(key) == value for key, value in values.items())
    assert store.open().ring == new


def test_shards_cannot_keep_a_function(store: Store) -> None:
    ring = HashRing(NAMES, epoch=1, hash=len)
    with pytest.raises(InvalidValue, match="cannot keep the function"):
        store.open(ring=ring)
    cluster = store.open()
    with pytest.raises(InvalidValue, match="cannot keep the function"):
        cluster.rebalance(ring)
    assert cluster.ring.epoch == 0


def test_a_shard_that_leaves_ends_up_empty(store: Store) -> None:
    cluster = store.open()
    values = fill(cluster)
    cluster.rebalance(cluster.ring.without_node("b"))
    assert store.contents("b") == {}
    assert all(cluster.get(key) == value for key, value in values.items())
    cluster.rebalance(cluster.ring.with_node("b"))
    assert all(cluster.get(key) == value for key, value in values.items())


def test_it_can_be_asked_for_again(store: Store) -> None:
    cluster = store.open("abcd", ring=HashRing(NAMES))
    fill(cluster)
    new = cluster.ring.with_node("d")
    cluster.rebalance(new)
    again = cluster.rebalance(new)
    assert (again.keys, again.transactions, again.epoch) == (0, 0, 1)
    assert cluster.rebalance().keys == 0


def test_batches_end_at_a_number_of_keys_or_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.cluster.rebalance.BATCH_KEYS", 7)
    monkeypatch.setattr("ringfence.cluster.rebalance.PAGE_KEYS", 11)
    cluster = store.open("abcd", ring=HashRing(NAMES))
    for number in range(60):
        cluster.put(f"k{number}", "v")
    seen: list[tuple[int, int]] = []
    report = cluster.rebalance(
        cluster.ring.without_node("a"), progress=lambda report: seen.append((report.keys, report.batches))
    )
    assert report.batches == len(seen) >= report.keys / 7
    assert seen[-1] == (report.keys, report.batches)
    monkeypatch.setattr("ringfence.cluster.rebalance.BATCH_BYTES", 100)
    for kind in ("sqlite", "redis", "postgresql"):
        monkeypatch.setattr(f"ringfence.cluster.shards.{kind}.AT_ONCE", 1)
    monkeypatch.setattr(sqlite_shard, "ROWS", "SELECT key, value FROM entry WHERE key IN (?)")
    for number in range(60):
        cluster.put(f"k{number}", "v" * 60)
    report = cluster.rebalance(cluster.ring.with_node("d"))
    assert report.batches >= report.keys / 2 > 1


def test_weights_can_change(store: Store) -> None:
    cluster = store.open()
    values = fill(cluster)
    cluster.rebalance(cluster.ring.with_weight("a", 3.0))
    assert all(cluster.get(key) == value for key, value in values.items())
    assert sorted(map(repr, cluster.keys())) == sorted(map(repr, KEYS))


def test_a_shard_can_be_added_later(store: Store) -> None:
    cluster = store.open()
    fill(cluster)
    with pytest.raises(UnknownNode, match="'d'"):
        cluster.rebalance(cluster.ring.with_node("d"))
    cluster.add_shard("d", store.urls["d"])
    assert cluster.shards == ("a", "b", "c", "d")
    assert cluster.rebalance(cluster.ring.with_node("d")).keys > 0


def test_a_shard_that_is_known_or_the_same_store_is_not_added(store: Store) -> None:
    cluster = store.open()
    with pytest.raises(InvalidValue, match="known already"):
        cluster.add_shard("a", store.urls["d"])
    with pytest.raises(InvalidValue, match="same store"):
        cluster.add_shard("d", store.urls["a"])


def test_a_shard_that_holds_keys_does_not_join(store: Store) -> None:
    cluster = store.open()
    store.open("d", name="foreign").put("k", "v")
    cluster.add_shard("d", store.urls["d"])
    with pytest.raises(InvalidValue, match="'d' is to join the ring but holds keys"):
        cluster.rebalance(cluster.ring.with_node("d"))
    assert cluster.refresh() == HashRing(NAMES)
    cluster.put("k", "the cluster works on")


def test_a_client_with_the_old_ring_follows(store: Store) -> None:
    cluster = store.open("abcd", ring=HashRing(NAMES))
    old = store.open("abcd", name="old")
    values = fill(cluster)
    cluster.rebalance(cluster.ring.with_node("d"))
    assert old.ring.epoch == 0
    assert all(old.get(key) == value for key, value in values.items())
    assert old.ring.epoch == 1
    assert set(old.keys()) == set(KEYS)


def test_a_transaction_with_the_old_ring_is_refused_once(store: Store) -> None:
    cluster = store.open("abcd", ring=HashRing(NAMES))
    old = store.open("abcd", name="old")
    cluster.rebalance(cluster.ring.with_node("d"))
    with pytest.raises(StaleRing) as refused, old.transaction() as tx:
        tx.put("k", "v")
    assert (refused.value.held, refused.value.current) == (0, 1)
    with old.transaction() as tx:
        tx.put("k", "v")
    assert cluster.get("k") == "v"


def test_an_older_ring_is_refused(store: Store) -> None:
    cluster = store.open("abcd", ring=HashRing(NAMES))
    old = cluster.ring
    cluster.rebalance(old.with_node("d"))
    with pytest.raises(StaleRing):
        cluster.rebalance(old)
    with pytest.raises(InvalidValue, match="another ring of epoch 1"):
        cluster.rebalance(old.without_node("a"))
    with pytest.raises(InvalidType):
        cluster.rebalance(["a"])


def test_an_older_client_that_does_not_know_the_new_shard_is_told(store: Store) -> None:
    cluster = store.open("abcd", ring=HashRing(NAMES))
    old = store.open(NAMES, name="old")
    new = cluster.ring.with_node("d")
    cluster.rebalance(new)
    key = next(f"k{number}" for number in range(100) if new[f"k{number}"] == "d")
    with pytest.raises(UnknownNode, match="'d'"):
        old.get(key)
    old.add_shard("d", store.urls["d"])
    assert old.get(key) is None
