"""Read every file once and store it over the shards, a batch of files a transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ringfence.cli.demo import source
from ringfence.cli.demo.place import FIRST, File, Place
from ringfence.cli.demo.source import Skipped
from ringfence.cluster.transaction import ClusterTransaction
from ringfence.placement import HashRing

FILES = 200
"""Files in one transaction at most."""

BYTES = 4_000_000
"""Bytes in one transaction, if more than one file."""


@dataclass(slots=True)
class Loaded:
    """What was stored.

    Attributes:
        files: one entry a file.
        skipped: what could not be read.
        transactions: how many it took.
    """

    files: list[File] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    transactions: int = 0

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def load(place: Place, folder: Path, paths: Iterable[str], advance: Callable[[int], None]) -> Loaded:
    """Store the files with two counters at zero each.

    Args:
        place: where the shards are.
        folder: the source.
        paths: relative to it.
        advance: called with the number of paths done.
    """
    loaded = Loaded()
    with place.cluster("loader", HashRing(FIRST)) as cluster:
        for batch in batches(_contents(folder, paths, loaded.skipped, advance)):
            with cluster.transaction() as tx:
                for file, content in batch:
                    _put(tx, file, content)
            loaded.files += [file for file, _ in batch]
            loaded.transactions += 1
            advance(len(batch))
    place.write_manifest(loaded.files)
    return loaded


def batches(contents: Iterable[tuple[File, bytes]]) -> Iterator[list[tuple[File, bytes]]]:
    """Group files into transactions of `FILES` files or `BYTES` bytes."""
    batch: list[tuple[File, bytes]] = []
    size = 0
    for file, content in contents:
        if batch and (len(batch) == FILES or size + file.size > BYTES):
            yield batch
            batch, size = [], 0
        batch.append((file, content))
        size += file.size
    if batch:
        yield batch


def _contents(
    folder: Path, paths: Iterable[str], skipped: list[Skipped], advance: Callable[[int], None]
) -> Iterator[tuple[File, bytes]]:
    for path in paths:
        content = source.read(folder, path)
        if isinstance(content, Skipped):
            skipped.append(content)
            advance(1)
        else:
            yield File(path, len(content), hashlib.sha256(content).hexdigest()), content


def _put(tx: ClusterTransaction, file: File, content: bytes) -> None:
    tx.put(file.key, content)
    for counter in file.counters:
        tx.put(counter, "0")
