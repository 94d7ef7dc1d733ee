"""A cluster as one client sees it: the shards, the ring it believes in, and how it waits and refreshes.

The view may be old; that is harmless, since every shard compares epochs. `current` runs an operation again with
the new ring when a shard refused the old one; `patiently` asks again while a shard is locked or in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from threading import Lock
from typing import TypeVar

from ringfence.cluster import rules
from ringfence.cluster.shards import Shard
from ringfence.cluster.state import RingState
from ringfence.errors import InDoubt, StaleRing, StoreTimeout, UnknownNode
from ringfence.protocol import Call, Effects, Now, Sleep, run
from ringfence.transactions.coordinator import Coordinator

T = TypeVar("T")

REFRESHES = 16
"""How many rings in a row an operation may find too old before it gives up."""


@dataclass(slots=True)
class View:
    """What the protocols of a cluster work on.

    Attributes:
        shards: every known shard, by name.
        coordinator: commits transactions over several shards.
        timeout: seconds to wait for a shard that is locked or in doubt.
        state: the ring, and the one before it while keys are being moved.
        random: spreads the waiting of several clients.
    """

    shards: Mapping[str, Shard]
    coordinator: Coordinator
    timeout: float
    state: RingState
    random: Random = field(default_factory=Random)
    _starting: Lock = field(default_factory=Lock)

    def shard(self, name: str) -> Shard:
        """The shard of that name.

        Raises:
            UnknownNode: the ring names a shard that this cluster was not given.
        """
        try:
            return self.shards[name]
        except KeyError:
            raise UnknownNode(name, tuple(self.shards)) from None

    def start(self) -> None:
        """Take an epoch with the first transaction, so that clients without any disturb nobody of their name."""
        with self._starting:
            run(self.coordinator.start())


def current(view: View, operation: Callable[[], Effects[T]]) -> Effects[T]:
    """Run `operation`; when its ring is too old, load the new one and run it again."""
    for _ in range(REFRESHES):
        try:
            return (yield from operation())
        except StaleRing:
            yield from refresh(view)
    return (yield from operation())


def patiently(view: View, call: Call) -> Effects[T]:
    """Ask a shard, and again while it is locked or in doubt.

    Raises:
        StoreTimeout: it was locked for the whole of `view.timeout`; nothing happened there.
        InDoubt: a prepared transaction stood there for the whole of `view.timeout`.
    """
    deadline = (yield Now()) + view.timeout
    for pause in rules.pauses(view.random):
        try:
            answer: T = yield call
        except (StoreTimeout, InDoubt):
            if (yield Now()) >= deadline:
                raise
        else:
            return answer
        yield Sleep(pause)
    raise AssertionError("pauses never end")


def refresh(view: View) -> Effects[None]:
    """Take over the newest state that the shards have."""
    states = yield from load(view)
    view.state = newest(states)


def load(view: View) -> Effects[dict[str, RingState]]:
    """The state of every known shard that has one."""
    states = {}
    for name in sorted(view.shards):
        state: RingState | None = yield from patiently(view, Call(view.shards[name], "state"))
        if state is not None:
            states[name] = state
    return states


def newest(states: Mapping[str, RingState]) -> RingState:
    """The state that stands: the highest epoch, and of that one the migrated state."""
    return max(states.values(), key=lambda state: (state.epoch, state.previous is None))
