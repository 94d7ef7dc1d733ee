"""Look at every shard with its store's own client and say what is wrong: nothing here trusts the code on trial.

The ring alone is asked, for where a key belongs, and it is made anew, from the names of the shards; and leases that are
in a server are listed by their store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ringfence.cli.demo.journal import Account
from ringfence.cli.demo.place import SHARDS, File, Place, grown
from ringfence.cli.demo.stores import SQLITE
from ringfence.cli.demo.witness import Witness, sqlite_rows, witness
from ringfence.cluster.cluster import LOCK
from ringfence.locks.manager import LockManager
from ringfence.placement import HashRing


@dataclass(slots=True)
class Load:
    """What one shard holds.

    Attributes:
        keys: how many.
        size: bytes of their values.
    """

    keys: int = 0
    size: int = 0


@dataclass(slots=True)
class Findings:
    """What was found on the shards.

    Attributes:
        problems: one line each; none when everything is as it should be.
        loads: shard -> what it holds.
        where: key -> the shards that hold it.
        counts: key of a counter -> its value.
    """

    problems: list[str] = field(default_factory=list)
    loads: dict[str, Load] = field(default_factory=lambda: {shard: Load() for shard in SHARDS})
    where: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def updates(self) -> int:
        """Updates that happened, by the counters of one side."""
        return sum(count for key, count in self.counts.items() if key.startswith("count/a/"))


def verify(place: Place, files: list[File], account: Account, advance: Callable[[int], None]) -> Findings:
    """Check every key of every file, and that nothing else is left.

    Args:
        place: the shards; nobody else uses them.
        files: what was stored.
        account: what the workers wrote down.
        advance: called after each shard.
    """
    findings = Findings()
    digests = {file.key: file.digest for file in files}
    for shard, url in place.urls.items():
        seen = witness(url)
        for key, value in seen.entries():
            _note(findings, shard, key, value)
            findings.problems += wrong_value(shard, key, value, digests)
        findings.problems += left_over(seen, shard)
        advance(1)
    findings.problems += misplaced(findings.where, {key for file in files for key in file.keys})
    findings.problems += miscounted(findings.counts, files, account)
    findings.problems += leases(place)
    return findings


def wrong_value(shard: str, key: str, value: bytes | str, digests: dict[str, str]) -> Iterator[str]:
    """Compare a file's bytes with what was read once, and see that a counter is a number."""
    if key.startswith("count/"):
        if not (isinstance(value, str) and value.isdecimal()):
            yield f"counter {key!r} on {shard} is {value!r}"
    elif not isinstance(value, bytes) or hashlib.sha256(value).hexdigest() != digests.get(key):
        yield f"corrupted: {key!r} on {shard} does not have the bytes that were stored"


def misplaced(where: dict[str, list[str]], expected: set[str]) -> Iterator[str]:
    """Compare the shard of each key with the one that the ring names."""
    ring = HashRing(SHARDS)
    for key in sorted(expected - where.keys()):
        yield f"lost: {key!r} is on no shard"
    for key in sorted(where.keys() - expected):
        yield f"unknown: {key!r} was never stored"
    for key, shards in where.items():
        if len(shards) > 1:
            yield f"duplicated: {key!r} is on {' and '.join(shards)}"
        elif shards[0] != ring[key]:
            yield f"misplaced: {key!r} is on {shards[0]}, the ring names {ring[key]}"


def miscounted(counts: dict[str, int], files: list[File], account: Account) -> Iterator[str]:
    """Compare the two counters of each file with each other and with what was acknowledged."""
    for number, file in enumerate(files):
        one, other = (counts.get(key, -1) for key in file.counters)
        least = account.acknowledged[number]
        most = least + account.unknown[number]
        if one != other:
            yield f"half updated: the counters of {file.path!r} are {one} and {other}"
        elif not least <= one <= most:
            yield f"miscounted: {file.path!r} has {one} updates, the writers' journals say {least} to {most}"


def left_over(seen: Witness, shard: str) -> Iterator[str]:
    """See that no prepared branch and no unfinished move is left on a shard."""
    for gid in seen.prepared():
        yield f"in doubt: transaction {gid} is still prepared on {shard}"
    states = seen.states()
    if states != [(grown().epoch, None)]:
        yield f"unfinished: {shard} is at ring (epoch, previous) {states}, not at epoch {grown().epoch} alone"


def leases(place: Place) -> Iterator[str]:
    """See that no lease is left."""
    for name, owner in held(place):
        yield f"lease left: {name!r} is still held by {owner}"


def held(place: Place) -> Iterator[tuple[str, str]]:
    """Yield the leases that stand, with their owners; in a server that others use too, those of the rebalance lock."""
    if place.stores.locks.startswith(SQLITE):
        yield from sqlite_rows(place.locks, "SELECT name, owner FROM ringfence_lease")
        return
    with LockManager.from_url(place.stores.locks) as manager:
        yield from ((one.name, one.owner) for one in manager.leases() if one.name == LOCK)


def _note(findings: Findings, shard: str, key: str, value: bytes | str) -> None:
    findings.where.setdefault(key, []).append(shard)
    findings.loads[shard].keys += 1
    findings.loads[shard].size += len(value)
    if key.startswith("count/") and isinstance(value, str) and value.isdecimal():
        findings.counts[key] = int(value)
