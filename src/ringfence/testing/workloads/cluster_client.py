"""A client of the simulated cluster: it puts, gets and deletes, and knows what it may get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from ringfence.cluster import listing, single, transaction
from ringfence.cluster.entries import stored
from ringfence.cluster.joint import Joint, begin
from ringfence.cluster.opening import open_cluster
from ringfence.cluster.view import View, refresh
from ringfence.errors import (
    Aborted,
    FenceRejected,
    InDoubt,
    LeaseLost,
    OutcomeUnknown,
    StaleRing,
    StoreTimeout,
)
from ringfence.protocol import Effects, Sleep
from ringfence.testing.network import Violation
from ringfence.testing.simulator import Simulation

T = TypeVar("T")

KEYS = 4
"""How many keys a client writes one by one; beside them it has a pair that it writes together."""

FAILURES = (StoreTimeout, OutcomeUnknown, Aborted, InDoubt, StaleRing, LeaseLost, FenceRejected)
"""What a cluster may answer when the world is as it is here; nothing is damaged, so nothing may be said to be."""

NOTHING_HAPPENED = (StoreTimeout, Aborted, StaleRing)
"""Failures after which nothing must have happened."""


class Versions:
    """The versions of one key: the value of each, None where it was deleted."""

    def __init__(self) -> None:
        self.values: list[str | None] = [None]
        self.void: set[int] = set()
        self.known = 0

    def new(self, value: str | None) -> int:
        """Somebody is about to write this."""
        self.values.append(value)
        return len(self.values) - 1

    def is_there_since(self, known: int) -> bool:
        """Did nobody delete the key since version `known`?"""
        return None not in self.values[known:]

    def check(self, key: str, known: int, value: object) -> None:
        """Look at what a read gave that began when version `known` was there."""
        fitting = [
            version
            for version in range(known, len(self.values))
            if self.values[version] == value and version not in self.void
        ]
        if not fitting:
            raise Violation(f"{key!r} is read as {value!r} after {self.values[known]!r} was there")
        self.known = max(self.known, fitting[0])


class Client:
    """One client process in one incarnation.

    Args:
        simulation: counts what happens.
        number: which keys it writes.
        view: the cluster as it sees it.
        versions: of all keys, those of other clients too.
    """

    def __init__(
        self,
        simulation: Simulation,
        number: int,
        view: View,
        versions: Mapping[str, Versions],
    ) -> None:
        self.random = simulation.random
        self.counts = simulation.counts
        self.number = number
        self.view = view
        self.versions = versions

    def settle(self) -> Effects[None]:
        """Recover what transactions of this name left in doubt."""
        while (yield from self.view.coordinator.recover()).unresolved:
            yield Sleep(0.02)

    def open(self) -> Effects[None]:
        """Take over the ring that the shards have."""
        opened = False
        while not opened:
            try:
                yield from open_cluster(self.view, None)
                opened = True
            except FAILURES:
                yield Sleep(0.02)

    def step(self) -> Effects[None]:
        """Do something, and settle if that came to nothing certain."""
        key = self.random.choice([key for key in self.versions if key.startswith(f"{self.number}:")][:KEYS])
        steps = self.random.choice(
            (self.put, self.put, self.delete, self.get_all, self.list_all, self.put_pair, self.get_pair)
        )
        try:
            yield from steps(key)
        except FAILURES as error:
            self.counts[type(error).__name__] += 1
            yield from self.look_again()

    def look_again(self) -> Effects[None]:
        """Settle, and look for a newer ring."""
        yield from self.settle()
        try:
            yield from refresh(self.view)
        except FAILURES:
            return

    def put(self, key: str) -> Effects[None]:
        """Put the next version of a key."""
        value = f"v{len(self.versions[key].values)}"
        yield from self.write([key], value, single.put(self.view, key, value))

    def delete(self, key: str) -> Effects[None]:
        """Delete a key; that is a version too."""
        yield from self.write([key], None, single.delete(self.view, key))

    def put_pair(self, key: str) -> Effects[None]:
        """Put the next version of two keys in one transaction."""
        pair = pair_of(key)
        value = f"v{len(self.versions[pair[0]].values)}"

        def work(joint: Joint) -> Effects[None]:
            for each in pair:
                yield from transaction.put(joint, each, stored(each), value)

        yield from self.write(pair, value, self.transact(work))

    def write(self, keys: list[str], value: str | None, steps: Effects[object]) -> Effects[None]:
        """Write one more version of some keys, and remember what is known of it."""
        versions = [self.versions[key].new(value) for key in keys]
        try:
            yield from steps
        except NOTHING_HAPPENED:
            for key, version in zip(keys, versions, strict=True):
                self.versions[key].void.add(version)
            raise
        for key, version in zip(keys, versions, strict=True):
            self.versions[key].known = max(self.versions[key].known, version)
        self.counts["written"] += 1

    def get_all(self, _: str) -> Effects[None]:
        """Read all keys one after the other, also those of others."""
        for key in self.versions:
            yield from self.get(key)

    def list_all(self, _: str) -> Effects[None]:
        """List the keys: those that are there all the time are listed."""
        known = {key: versions.known for key, versions in self.versions.items()}
        listed, _more = yield from listing.stretch(self.view)
        for key, versions in self.versions.items():
            if versions.is_there_since(known[key]) and key not in listed:
                raise Violation(f"{key!r} was there all the time, and is not listed")

    def get(self, key: str) -> Effects[None]:
        """Read a key, and look at what it gave."""
        known = self.versions[key].known
        value = yield from single.get(self.view, key)
        self.versions[key].check(key, known, value)

    def get_pair(self, key: str) -> Effects[None]:
        """Read two keys in one transaction: they are alike."""
        left, right = pair_of(key)

        def work(joint: Joint) -> Effects[tuple[object, object]]:
            first = yield from transaction.get(joint, left, stored(left))
            return first, (yield from transaction.get(joint, right, stored(right)))

        values = yield from self.transact(work)
        if values[0] != values[1]:
            raise Violation(f"{left!r} and {right!r} are written together, and read as {values}")

    def transact(self, work: Callable[[Joint], Effects[T]]) -> Effects[T]:
        """Run `work` in one transaction and commit it, as `with cluster.transaction()` does."""
        joint = yield from begin(self.view, self.view.state)
        try:
            result = yield from work(joint)
        except GeneratorExit:
            raise
        except BaseException:
            yield from joint.rollback()
            raise
        yield from joint.commit()
        return result


def pair_of(key: str) -> list[str]:
    """The two keys of the same client that are always written together."""
    number = key.partition(":")[0]
    return [f"{number}:left", f"{number}:right"]
