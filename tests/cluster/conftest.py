"""Clusters to test: on shards in memory, and on files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.cluster import Cluster
from ringfence.transactions.participants.memory import MemoryParticipant


class Store:
    """Where the shards of a test are; `open` opens a cluster over them, as another process would."""

    def __init__(self, urls: dict[str, Any], decisions: str, locks: str) -> None:
        self.urls = urls
        self.decisions = decisions
        self.locks = locks
        self.opened: list[Cluster] = []

    def open(self, names: Any = "abc", **options: Any) -> Cluster:
        shards = {name: self.urls[name] for name in names}
        options = {"decisions": self.decisions, "locks": self.locks, "timeout": 0.3, **options}
        cluster = Cluster(shards, **options)
        self.opened.append(cluster)
        return cluster

    def contents(self, name: str) -> dict[Any, Any]:
        """What is on one shard, looked at from outside."""
        if isinstance(self.urls[name], MemoryParticipant):
            return {kept[1]: value for kept, value in self.urls[name].snapshot().items() if kept[0] >= 0}
        connection = sqlite3.connect(self.urls[name].removeprefix("sqlite:///"))
        try:
            return dict(connection.execute("SELECT key, value FROM entry"))
        finally:
            connection.close()

    def placed(self, names: Any) -> list[tuple[str, Any]]:
        """Which key is on which shard."""
        return [(name, key) for name in names for key in self.contents(name)]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        found = files(tmp_path)
    else:
        names = {name: MemoryParticipant(timeout=0.3) for name in "abcdef"}
        found = Store(names, f"memory://{tmp_path}", f"memory://{tmp_path}")
    yield found
    for cluster in found.opened:
        cluster.close()


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    found = files(tmp_path)
    yield found
    for cluster in found.opened:
        cluster.close()


def files(folder: Path) -> Store:
    urls = {name: f"sqlite:///{folder}/{name}.db" for name in "abcdef"}
    return Store(urls, f"sqlite:///{folder}/decisions.db", f"sqlite:///{folder}/locks.db")
