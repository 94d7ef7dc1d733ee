"""Get, put, delete and list, on memory and on files."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ringfence.cluster import Cluster
from ringfence.errors import (
    InvalidType,
    InvalidValue,
    StoreTimeout,
)
from ringfence.placement import HashRing

Store = Any
NAMES = ("a", "b", "c")
KEYS: list[Any] = [
    *(f"user:{number}" for number in range(40)),
    *(f"naïve {number}" for number in range(5)),
    *(number.to_bytes(2, "big") for number in range(20)),
    *range(20),
    2**63 - 1,
    2**63,
    2**64 - 1,
    "",
    b"",
    "with\0zero",
    "1",
    b"1",
]


def test_what_is_put_is_got_back_as_it_was(store: Store) -> None:
    cluster = store.open()
    for number, key in enumerate(KEYS):
        cluster.put(key, f"value {number}" if number % 2 else b"\0\xff%d" % number)
    for number, key in enumerate(KEYS):
        assert cluster.get(key) == (f"value {number}" if number % 2 else b"\0\xff%d" % number)


def test_keys_of_different_types_are_different(store: Store) -> None:
    cluster = store.open()
    cluster.put(1, "int")
    cluster.put("1", "str")
    cluster.put(b"1", "bytes")
    assert (cluster.get(1), cluster.get("1"), cluster.get(b"1")) == ("int", "str", "bytes")


def test_a_missing_key_gives_the_default(store: Store) -> None:
    cluster = store.open()
    assert cluster.get("nothing") is None
    assert cluster.get("nothing", 7) == 7


def test_an_empty_value_is_a_value(store: Store) -> None:
    cluster = store.open()
    cluster.put("k", "")
    cluster.put("l", b"")
    assert cluster.get("k", "default") == ""
    assert cluster.get("l", "default") == b""


def test_delete_says_whether_the_key_was_there(store: Store) -> None:
    cluster = store.open()
    cluster.put("k", "v")
    assert cluster.delete("k") is True
    assert cluster.delete("k") is False
    assert cluster.get("k") is None


def test_put_replaces(store: Store) -> None:
    cluster = store.open()
    cluster.put("k", "one")
    cluster.put("k", b"two")
    assert cluster.get("k") == b"two"


def test_keys_lists_each_key_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.cluster.listing.PAGE_KEYS", 5)
    cluster = store.open()
    assert list(cluster.keys()) == []
    for key in KEYS:
        cluster.put(key, "v")
    listed = list(cluster.keys())
    assert len(listed) == len(KEYS)
    assert set(listed) == set(KEYS)


def test_every_key_is_on_the_shard_the_ring_names(store: Store) -> None:
    cluster = store.open(ring=HashRing({"a": 1.0, "b": 2.0, "c": 0.5}, vnodes=16, seed=7))
    for number in range(100):
        cluster.put(f"k{number}", "v")
    assert sorted(store.placed(NAMES)) == sorted(
        (cluster.ring[f"k{number}"], f"k{number}") for number in range(100)
    )


@pytest.mark.parametrize("key", [1.5, None, True, ("k",), bytearray(b"k")])
def test_a_key_of_another_type_is_refused(store: Store, key: Any) -> None:
    cluster = store.open()
    for use in (cluster.get, cluster.delete, lambda key: cluster.put(key, "v")):
        with pytest.raises(InvalidType, match="key"):
            use(key)


@pytest.mark.parametrize("key", [-1, 2**64, "\ud800"])
def test_a_key_that_cannot_be_kept_is_refused(store: Store, key: Any) -> None:
    cluster = store.open()
    for use in (cluster.get, cluster.delete, lambda key: cluster.put(key, "v")):
        with pytest.raises(InvalidValue, match="key"):
            use(key)


@pytest.mark.parametrize(
    ("value", "error"), [(1, InvalidType), (None, InvalidType), ("\ud800", InvalidValue)]
)
def test_a_value_that_cannot_be_kept_is_refused(store: Store, value: Any, error: type[Exception]) -> None:
    cluster = store.open()
    with pytest.raises(error, match="value"):
        cluster.put("k", value)
    with pytest.raises(error, match="value"), cluster.transaction() as tx:
        tx.put("k", value)


def test_a_locked_shard_times_out_and_nothing_is_lost(file_store: Store, tmp_path: Path) -> None:
    cluster = file_store.open(timeout=0.1)
    cluster.put("k0", "before")
    connection = sqlite3.connect(tmp_path / f"{cluster.ring['k0']}.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreTimeout):
        cluster.put("k0", "after")
    assert cluster.get("k0") == "before"
    connection.execute("ROLLBACK")
    connection.close()
    cluster.put("k0", "after")
    assert cluster.get("k0") == "after"


def test_a_cluster_is_a_context_manager_and_closes_twice(store: Store) -> None:
    with store.open() as cluster:
        assert "3 shards" in repr(cluster)
    cluster.close()


def test_two_clusters_of_plain_memory_shards_share_nothing() -> None:
    with Cluster({"a": "memory://", "b": "memory://"}, decisions="memory://", locks="memory://") as cluster:
        cluster.put("k", "v")
    with Cluster({"a": "memory://", "b": "memory://"}, decisions="memory://", locks="memory://") as cluster:
        assert cluster.get("k") is None


def test_recovering_another_name_disturbs_nobody_of_the_own_name(store: Store) -> None:
    with store.open() as living, store.open() as command:
        with living.transaction() as tx:
            for key in "abcdef":
                tx.put(key, key)
            command.recover("other")
        assert [living.get(key) for key in "abcdef"] == list("abcdef")
