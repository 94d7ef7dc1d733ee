"""The processes that are killed: writers that keep updating, and the one that moves keys to the sixth shard.

    python -m ringfence.cli.demo.workers FOLDER writer-1 SEED
    python -m ringfence.cli.demo.workers FOLDER rebalancer SEED

Each life begins with recovery of what the life before, under the same name, left behind. A worker dies when its
standard input ends, so that none outlives the demo.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from random import Random
from typing import NoReturn

from ringfence.cli.demo.journal import Journal
from ringfence.cli.demo.place import File, Place, grown
from ringfence.cli.demo.process import WRITERS
from ringfence.cluster import Cluster
from ringfence.cluster.transaction import ClusterTransaction
from ringfence.errors import (
    Aborted,
    FenceRejected,
    InDoubt,
    LeaseLost,
    OutcomeUnknown,
    StaleRing,
    StoreTimeout,
)
from ringfence.placement import HashRing

HOT = 50
"""Every second update is of one of so many files, so that writers meet."""

LEASE = 0.5
"""Seconds that a killed rebalancer's lease stands in the way of its next life."""

TIMEOUT = 1.0
"""Seconds that a writer waits for a shard: writers that wait for one another in a circle get out of it by this."""

NOTHING_HAPPENED = (Aborted, StaleRing, StoreTimeout)

COME_BACK = (*NOTHING_HAPPENED, InDoubt, OutcomeUnknown, LeaseLost, FenceRejected)
"""What a worker may meet because others are killed; it starts afresh, and so with recovery."""


def write(cluster: Cluster, files: list[File], journal: Journal, random: Random) -> NoReturn:
    """Update one file after the other, for ever."""
    hot = files[:: len(files) // HOT + 1]
    numbers = {file: number for number, file in enumerate(files)}
    while True:
        file = random.choice(hot if random.random() < 0.5 else files)
        journal.write("try", numbers[file])
        journal.write("ok" if attempt(cluster, file) else "no", numbers[file])


def attempt(cluster: Cluster, file: File) -> bool:
    """Update a file in one transaction; return whether it happened.

    Raises:
        InDoubt, OutcomeUnknown: it is not known whether it happened.
    """
    try:
        with cluster.transaction() as tx:
            update(tx, file, cluster.ring)
    except NOTHING_HAPPENED:
        return False
    except InDoubt as error:
        if error.gid == tx.gid:
            raise
        return False  # it is another one that is in doubt; it stood in the way of this one
    return True


def update(tx: ClusterTransaction, file: File, ring: HashRing) -> None:
    """Write a file's entry anew with the same bytes, and add one to both its counters."""
    for key in sorted(file.keys, key=ring.lookup):  # so that writers seldom wait in a circle
        value = tx.get(key)
        assert value is not None, f"{key!r} is gone"
        tx.put(key, value if key == file.key else str(int(value) + 1))


def work(place: Place, name: str, journal: Journal, random: Random) -> None:
    """Do what the worker of that name does; only the rebalancer comes to an end."""
    timeout = TIMEOUT if name in WRITERS else 5.0
    with place.cluster(name, timeout=timeout) as cluster:
        cluster.recover()
        if name in WRITERS:
            write(cluster, place.manifest(), journal, random)
        cluster.rebalance(grown(), ttl=LEASE, progress=lambda _: journal.write("batch"))


def main(folder: str, name: str, seed: str) -> None:
    """Live one life of a worker."""
    threading.Thread(target=_die_with_the_demo, daemon=True).start()
    place, random = Place(Path(folder)), Random(seed)
    journal = Journal(place.journal(name))
    while True:
        journal.write("start")
        try:
            return work(place, name, journal, random)
        except COME_BACK:
            continue


def _die_with_the_demo() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
