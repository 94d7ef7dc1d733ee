"""How a cluster is opened, and what is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ringfence.cluster import Cluster
from ringfence.cluster.shards import sqlite as sqlite_shard
from ringfence.errors import (
    BackendUnavailable,
    InvalidType,
    InvalidValue,
    StoreDamaged,
    UnknownNode,
)
from ringfence.placement import HashRing, Node

Store = Any
NAMES = ("a", "b", "c")


def test_a_later_opening_takes_the_ring_from_the_shards(store: Store) -> None:
    ring = HashRing([Node("a", 2.0, "zone"), Node("b")], vnodes=10, seed=3, epoch=4)
    store.open(ring=ring).put("k", "v")
    again = store.open("abc", name="other")
    assert again.ring == ring
    assert again.ring.epoch == 4
    assert again.get("k") == "v"
    assert not again.migrating


def test_the_same_ring_may_be_given_again(store: Store) -> None:
    store.open(ring=HashRing(["a", "b"]))
    assert store.open(ring=HashRing(["b", "a"]), name="other").ring == HashRing(["a", "b"])


def test_another_ring_is_refused(store: Store) -> None:
    store.open(ring=HashRing(["a", "b"]))
    with pytest.raises(InvalidValue, match=r"cluster\.rebalance"):
        store.open(ring=HashRing(["a", "b", "c"]), name="other")


def test_a_ring_with_an_unknown_shard_is_refused(store: Store) -> None:
    with pytest.raises(UnknownNode, match="'z'"):
        store.open(ring=HashRing(["a", "z"]))


def test_a_shard_of_the_ring_that_is_not_given_is_missed(store: Store) -> None:
    store.open()
    with pytest.raises(UnknownNode, match="'c'"):
        store.open("ab", name="other")


def test_a_shard_that_was_emptied_is_missed(store: Store, tmp_path: Path) -> None:
    store.open().close()
    store.urls["b"] = store.urls["f"]
    with pytest.raises(StoreDamaged, match="'b'"):
        store.open(name="other")


def test_a_shard_with_keys_but_no_ring_is_refused(file_store: Store, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "b.db")
    connection.executescript(sqlite_shard.TABLES + "INSERT INTO entry VALUES ('k', 'v');")
    connection.close()
    with pytest.raises(InvalidValue, match="'b' holds keys"):
        file_store.open()
    assert file_store.contents("b") == {"k": "v"}


def test_one_store_under_two_names_is_refused(store: Store) -> None:
    store.urls["b"] = store.urls["a"]
    with pytest.raises(InvalidValue, match="same store"):
        store.open()


def test_a_corrupt_file_is_named(file_store: Store, tmp_path: Path) -> None:
    (tmp_path / "b.db").write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(StoreDamaged, match=r"b\.db"):
        file_store.open()


def test_a_missing_folder_is_named(file_store: Store, tmp_path: Path) -> None:
    file_store.urls["b"] = f"sqlite:///{tmp_path}/nowhere/b.db"
    with pytest.raises(BackendUnavailable, match="nowhere"):
        file_store.open()


def test_a_state_row_that_makes_no_sense_is_reported(file_store: Store, tmp_path: Path) -> None:
    file_store.open().close()
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    connection.execute("UPDATE ringfence_ring SET ring = '{}'")
    connection.close()
    with pytest.raises(StoreDamaged, match="state row"):
        file_store.open()


def test_a_shard_from_an_older_backup_is_reported(file_store: Store, tmp_path: Path) -> None:
    with file_store.open("abcd", ring=HashRing(NAMES)) as cluster:
        cluster.rebalance(cluster.ring.with_node("d"))
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    connection.execute("UPDATE ringfence_ring SET epoch = 0")
    connection.close()
    again = file_store.open("abcd")
    key = next(f"k{number}" for number in range(100) if again.ring[f"k{number}"] == "a")
    with pytest.raises(StoreDamaged, match="old copy"):
        again.get(key)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ring": ["a"]}, InvalidType),
        ({"ring": HashRing([])}, Exception),
        ({"timeout": "1"}, InvalidType),
        ({"timeout": -1}, InvalidValue),
        ({"timeout": float("nan")}, InvalidValue),
        ({"name": "rebalance"}, InvalidValue),
        ({"name": "a b"}, InvalidValue),
        ({"name": 3}, InvalidType),
        ({"decisions": "ftp://x"}, InvalidValue),
        ({"locks": "nothing"}, InvalidValue),
    ],
)
def test_a_wrong_argument_is_refused(store: Store, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        store.open(**options)


@pytest.mark.parametrize(
    ("shards", "error"),
    [
        ({}, InvalidValue),
        (["a"], InvalidType),
        ({1: "memory://"}, InvalidType),
        ({"": "memory://"}, InvalidValue),
        ({"a": "memory"}, InvalidValue),
        ({"a": 3}, InvalidType),
    ],
)
def test_wrong_shards_are_refused(shards: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Cluster(shards, decisions="memory://refused", locks="memory://refused")


def test_files_given_under_each_others_names_are_refused(store: Store) -> None:
    cluster = store.open()
    for number in range(30):
        cluster.put(number, "v")
    cluster.close()
    store.urls["a"], store.urls["b"] = store.urls["b"], store.urls["a"]
    with pytest.raises(InvalidValue, match=r"holds key .* give each shard its own file"):
        store.open(name="other")
    store.urls["a"], store.urls["b"] = store.urls["b"], store.urls["a"]
    assert len(list(store.open(name="other").keys())) == 30


def test_a_file_that_sorts_text_otherwise_is_refused(file_store: Store) -> None:
    connection = sqlite3.connect(file_store.urls["a"].removeprefix("sqlite:///"))
    connection.execute("PRAGMA encoding = 'UTF-16'")
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(InvalidValue, match="keeps text in UTF-16"):
        file_store.open()
