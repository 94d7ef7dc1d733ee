"""Where the demo keeps its things: a folder with the shards, the decisions, the locks and the journals."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ringfence.cluster import Cluster
from ringfence.placement import HashRing

FIRST = tuple(f"shard-{number}" for number in range(1, 6))
JOINING = "shard-6"
SHARDS = (*FIRST, JOINING)

INTENTS = "SELECT gid FROM ringfence_intent"


@dataclass(frozen=True, slots=True)
class File:
    """What was true of a file when it was read.

    Attributes:
        path: relative to the source; its key.
        size: in bytes.
        digest: SHA-256, in hexadecimal.
    """

    path: str
    size: int
    digest: str

    @property
    def key(self) -> str:
        """The key of the file's bytes."""
        return f"file/{self.path}"

    @property
    def counters(self) -> tuple[str, str]:
        """The keys of its two counters: an update that happened by half would leave them different."""
        return f"count/a/{self.path}", f"count/b/{self.path}"

    @property
    def keys(self) -> tuple[str, str, str]:
        """All its keys."""
        return self.key, *self.counters


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of the demo.

    Args:
        folder: exists already.
    """

    folder: Path

    def shard(self, name: str) -> Path:
        """Return the file of one shard."""
        return self.folder / f"{name}.db"

    @property
    def decisions(self) -> Path:
        """The file of the decisions."""
        return self.folder / "decisions.db"

    @property
    def locks(self) -> Path:
        """The file of the leases."""
        return self.folder / "locks.db"

    def journal(self, worker: str) -> Path:
        """Return the journal of one worker."""
        return self.folder / f"{worker}.journal"

    def errors(self, worker: str) -> Path:
        """Return the file with what one worker wrote to its standard error."""
        return self.folder / f"{worker}.errors"

    def cluster(self, name: str, ring: HashRing | None = None, timeout: float = 5.0) -> Cluster:
        """Open the cluster, all six shards known, under a coordinator's name.

        Args:
            name: of the coordinator.
            ring: given when the cluster is new.
            timeout: seconds to wait for a shard that is locked or in doubt.
        """
        decisions, locks = url(self.decisions), url(self.locks)
        return Cluster(self.urls, decisions=decisions, locks=locks, ring=ring, name=name, timeout=timeout)

    @property
    def urls(self) -> dict[str, str]:
        """The URL of each shard."""
        return {shard: url(self.shard(shard)) for shard in SHARDS}

    def prepared(self, coordinator: str) -> set[str]:
        """Return the gids of a coordinator that are prepared on any shard; its plain word, by `sqlite3`."""
        found = {gid for shard in SHARDS for (gid,) in rows(self.shard(shard), INTENTS)}
        return {gid for gid in found if gid.startswith(f"{coordinator}.")}

    def outcomes(self) -> dict[str, str]:
        """Return the outcome of each decided transaction by its gid."""
        return dict(rows(self.decisions, "SELECT gid, outcome FROM ringfence_decision"))

    def write_manifest(self, files: list[File]) -> None:
        """Write down what was stored."""
        text = json.dumps([asdict(file) for file in files], indent=0)
        (self.folder / "manifest.json").write_text(text, encoding="utf-8")

    def manifest(self) -> list[File]:
        """Return what was stored."""
        text = (self.folder / "manifest.json").read_text(encoding="utf-8")
        return [File(**entry) for entry in json.loads(text)]


def rows(path: Path, query: str) -> Iterator[Any]:
    """Yield the rows of a query on an SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        yield from connection.execute(query)


def url(path: Path) -> str:
    """Return the URL of an SQLite file."""
    return f"sqlite:///{path}"


def grown() -> HashRing:
    """Return the ring after the sixth shard has joined."""
    return HashRing(FIRST).with_node(JOINING)
