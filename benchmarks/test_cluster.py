"""A put beside the same INSERT and commit in plain sqlite3; how long a get takes, and a small key in a rebalance.

Both sides of a put write to files in one folder, in WAL mode with synchronous=FULL, turn by turn.
"""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ringfence.cluster import Cluster
from ringfence.placement import HashRing

KEYS = 60_000
VALUE = "x" * 100
AT_ONCE = 20


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    shards = {name: f"sqlite:///{tmp_path}/{name}.db" for name in "abcdef"}
    decisions, locks = f"sqlite:///{tmp_path}/decisions.db", f"sqlite:///{tmp_path}/locks.db"
    with Cluster(shards, decisions=decisions, locks=locks, ring=HashRing(["a"])) as opened:
        yield opened


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "plain.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE entry (key NOT NULL PRIMARY KEY, value NOT NULL)")
        yield connection


def test_put(race: Any, cluster: Cluster, plain: sqlite3.Connection) -> None:
    ours, theirs = itertools.count(), itertools.count()

    def put() -> None:
        for number in itertools.islice(ours, AT_ONCE):
            cluster.put(f"user:{number}", VALUE)

    def insert() -> None:
        for number in itertools.islice(theirs, AT_ONCE):
            plain.execute("INSERT INTO entry VALUES (?, ?)", (f"user:{number}", VALUE))
            plain.commit()

    race("Cluster.put, beside INSERT and commit", put, insert, operations=AT_ONCE, at_most=1.4, rounds=60)


def test_get(race: Any, cluster: Cluster) -> None:
    cluster.put("user:1", VALUE)
    race("Cluster.get", lambda: cluster.get("user:1"), at_most=100e-6, rounds=2000)


def test_rebalance(race: Any, cluster: Cluster, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.executemany("INSERT INTO entry VALUES (?, ?)", [(f"user:{n}", VALUE) for n in range(KEYS)])
        connection.commit()
    cluster.rebalance(HashRing(["a", "b", "c", "d", "e"], epoch=1))
    moved = cluster.rebalance(cluster.ring.with_node("f")).keys

    def there_or_back() -> None:
        ring = cluster.ring
        cluster.rebalance(ring.without_node("f") if "f" in ring else ring.with_node("f"))

    race(
        "rebalance of 60,000 small keys, a key moved", there_or_back, operations=moved, at_most=1e-4, rounds=4
    )
