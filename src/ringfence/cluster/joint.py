"""One transaction over several shards of a cluster.

A shard takes part from its first use to the end of the transaction, under its write lock: what was read there
stays true until the commit. No lock is given up before all are held (strict two-phase locking), so transactions are
serialisable. Those that name their shards beforehand take them in order of name and never wait in a circle; in
others a circle ends when the wait of one of them does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, TypeVar

from ringfence.cluster import rules
from ringfence.cluster.shards import Mark, ShardBranch, no_ring
from ringfence.cluster.state import RingState
from ringfence.cluster.view import View, patiently
from ringfence.protocol import Call, Effects
from ringfence.transactions.two_phase import Enlisted

T = TypeVar("T")

Branches: TypeAlias = Mapping[str, ShardBranch]


class Joint:
    """A transaction that shards join one after the other.

    Args:
        view: the cluster.
        gid: the transaction.
        state: the ring that all of it goes by; a shard that obeys another one refuses to take part.

    Attributes:
        guards: resource -> fence, which every shard compares with its mark when the transaction is prepared there.
    """

    def __init__(self, view: View, gid: str, state: RingState) -> None:
        self.gid = gid
        self.state = state
        self._view = view
        self.guards: dict[str, int] = {}
        self._branches: dict[str, ShardBranch] = {}
        self._asked: list[str] = []

    def branch(self, name: str) -> Effects[ShardBranch]:
        """The branch on a shard that obeys the same ring; joined when it is not there yet.

        Raises:
            StaleRing: the shard has moved on to a newer ring.
        """
        if name not in self._branches:
            branch = yield from self.join(name)
            check_member(name, self.state.epoch, (yield Call(branch, "mark")))
        return self._branches[name]

    def join(self, name: str) -> Effects[ShardBranch]:
        """The branch on a shard, whatever ring it obeys."""
        shard = self._view.shard(name)
        self._asked.append(name)
        self._branches[name] = yield from patiently(self._view, Call(shard, "join", (self.gid,)))
        for guard in self.guards.items():
            yield self._guarding(name, guard)
        return self._branches[name]

    def guard(self, resource: str, fence: int) -> Effects[None]:
        """Have every shard that takes part compare a fence, those that have joined and those that will."""
        for name in self._branches:
            yield self._guarding(name, (resource, fence))
        self.guards[resource] = fence

    def _guarding(self, name: str, guard: tuple[str, int]) -> Call:
        return Call(self._view.shard(name).participant, "guard", (self.gid, *guard))

    def commit(self) -> Effects[None]:
        """Make all of it happen, or nothing.

        Raises:
            Aborted: nothing happened.
            InDoubt: not known yet; recovery will tell.
        """
        enlisted = [
            Enlisted(name, self._view.shard(name).participant, branch.wrote)
            for name, branch in self._branches.items()
        ]
        yield from self._view.coordinator.commit(self.gid, enlisted)

    def rollback(self) -> Effects[None]:
        """Let nothing of it happen."""
        asked = [Enlisted(name, self._view.shard(name).participant, True) for name in self._asked]
        yield from self._view.coordinator.roll_back(self.gid, asked)


def begin(view: View, state: RingState) -> Effects[Joint]:
    """A new transaction, on no shard yet."""
    yield Call(view, "start")
    return Joint(view, view.coordinator.begin(), state)


def together(
    view: View,
    state: RingState,
    names: Iterable[str],
    work: Callable[[Branches], Effects[T]],
    joining: Iterable[str] = (),
) -> Effects[T]:
    """Run `work` on branches of the named shards and commit.

    All must obey the ring of `state`, except those that are `joining` it.
    """
    joint = yield from begin(view, state)
    try:
        branches = {}
        for name in rules.joining_order(set(names)):
            branches[name] = yield from (joint.join(name) if name in joining else joint.branch(name))
        result = yield from work(branches)
    except GeneratorExit:  # whoever drove this has gone; no more can be asked of anyone
        raise
    except BaseException:
        yield from joint.rollback()
        raise
    yield from joint.commit()
    return result


def check_member(name: str, epoch: int, mark: Mark | None) -> None:
    """Refuse a shard that obeys another ring than the caller, or none."""
    if mark is None:
        raise no_ring(name)
    rules.check_epoch(name, epoch, mark.epoch)
