"""Where the demo keeps its things: a folder with decisions and journals, and with shards and leases or their URLs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ringfence.cli.demo import stores
from ringfence.cli.demo.witness import sqlite_rows, witness
from ringfence.cluster import Cluster
from ringfence.placement import HashRing

FIRST = tuple(f"shard-{number}" for number in range(1, 6))
JOINING = "shard-6"
SHARDS = (*FIRST, JOINING)


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
        """Return the file of one shard, if it is in one."""
        return self.folder / f"{name}.db"

    @property
    def decisions(self) -> Path:
        """The file of the decisions."""
        return self.folder / "decisions.db"

    @property
    def locks(self) -> Path:
        """The file of the leases, if they are in one."""
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
        decisions, locks = url(self.decisions), self.stores.locks
        return Cluster(self.urls, decisions=decisions, locks=locks, ring=ring, name=name, timeout=timeout)

    @property
    def stores(self) -> stores.Stores:
        """Where shards and leases are."""
        return stores.found(self.folder, SHARDS)

    @property
    def urls(self) -> dict[str, str]:
        """The URL of each shard."""
        return self.stores.shards

    def prepared(self, coordinator: str) -> set[str]:
        """Return the gids of a coordinator that are prepared on any shard, by its store's plain word."""
        found = {gid for shard in self.urls.values() for gid in witness(shard).prepared()}
        return {gid for gid in found if gid.startswith(f"{coordinator}.")}

    def outcomes(self) -> dict[str, str]:
        """Return the outcome of each decided transaction by its gid."""
        return dict(sqlite_rows(self.decisions, "SELECT gid, outcome FROM ringfence_decision"))

    def write_manifest(self, files: list[File]) -> None:
        """Write down what was stored."""
        text = json.dumps([asdict(file) for file in files], indent=0)
        (self.folder / "manifest.json").write_text(text, encoding="utf-8")

    def manifest(self) -> list[File]:
        """Return what was stored."""
        text = (self.folder / "manifest.json").read_text(encoding="utf-8")
        return [File(**entry) for entry in json.loads(text)]


def url(path: Path) -> str:
    """Return the URL of an SQLite file."""
    return f"sqlite:///{path}"


def grown() -> HashRing:
    """Return the ring after the sixth shard has joined."""
    return HashRing(FIRST).with_node(JOINING)
