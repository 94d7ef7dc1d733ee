"""Move the keys of a cluster from one ring to the next, while clients go on reading and writing.

    announce   one transaction over all shards of both rings: the new ring, and the old one as `previous`
    sweep      every shard, in order of its keys: those that the new ring puts elsewhere move, a batch at a time;
               a batch is a two-branch transaction: insert on the target, delete from the source
    finish     after a sweep that found nothing to move, one transaction over all shards: no `previous` any more

Each step looks at what stands before it does anything, so whoever comes after a crash, in whatever process, goes
through the same steps again and finds some of them done.

Only one rebalancer is meant to be at work, and a lock sees to that. When a lease ends early and there are two, the
fence of each is compared with the state row in every branch, so the older one is refused (`FenceRejected`); and both
use one coordinator name, of which only the newest epoch may commit. Why clients are safe meanwhile:
`ringfence.cluster.single`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

from ringfence.cluster import rules
from ringfence.cluster.entries import FIRST, StoredKey, original, size
from ringfence.cluster.joint import Branches, together
from ringfence.cluster.shards import Mark, Row
from ringfence.cluster.state import RingState
from ringfence.cluster.view import View, patiently, refresh
from ringfence.errors import Aborted, InvalidValue, StaleRing
from ringfence.placement import HashRing
from ringfence.protocol import Call, Effects, Now, Sleep

COORDINATOR = "rebalance"
"""The name under which every rebalancer commits; recovery under it belongs to the holder of the lock."""

BATCH_KEYS = 1000
"""Most keys of one batch."""

BATCH_BYTES = 4_000_000
"""A batch ends once its values fill this much."""

PAGE_KEYS = 4096
"""Keys that are read, and looked up in the ring, at a time."""

ATTEMPTS = 5
"""How often a batch is tried; it can be aborted by whatever else happens on its shards."""

BREATH = 0.1
"""After a batch its shards are left to the clients for this part of the time the batch took."""


class Held(Protocol):
    """The lease of the rebalance lock."""

    @property
    def fence(self) -> int:
        """Grows with every holder of the lock."""

    def check(self) -> None:
        """Raise `LeaseLost` when the lease is over."""


@dataclass(slots=True)
class Rebalance:
    """What a rebalance did.

    Attributes:
        epoch: of the ring that the cluster obeys now.
        keys: how many keys were moved.
        bytes: the size of their values.
        batches: two-branch transactions that moved them.
        transactions: all committed transactions, announcements included.
        aborted: batches that were aborted and run again.
        scanned: how many keys were looked at, in all sweeps.
        seconds: how long it took.
    """

    epoch: int = 0
    keys: int = 0
    bytes: int = 0
    batches: int = 0
    transactions: int = 0
    aborted: int = 0
    scanned: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Mover:
    """A rebalancer at work.

    Attributes:
        view: the cluster; its coordinator is the rebalancers' one.
        lease: of the rebalance lock.
        progress: called after every batch.
        report: what was done so far.
    """

    view: View
    lease: Held
    progress: Callable[[Rebalance], None]
    report: Rebalance = field(default_factory=Rebalance)


def rebalance(mover: Mover, ring: HashRing | None) -> Effects[Rebalance]:
    """Finish a migration that was begun, then migrate to `ring` if it is a newer one.

    Raises:
        StaleRing: the shards have moved on to a ring newer than `ring`.
        InvalidValue: they have another ring of the same epoch.
        UnknownNode: `ring` names a shard that this cluster does not know.
        LeaseLost: the lease ended.
        FenceRejected: another rebalancer has taken over.
    """
    started = yield Now()
    yield from refresh(mover.view)
    if mover.view.state.previous is not None:
        yield from _everywhere(mover, partial(claim, mover.lease.fence))
        yield from _migrate(mover)
    if ring is not None and is_newer(ring, mover.view.state):
        yield from announce(mover, ring)
        yield from _migrate(mover)
    mover.report.epoch = mover.view.state.epoch
    mover.report.seconds = (yield Now()) - started
    return mover.report


def is_newer(ring: HashRing, state: RingState) -> bool:
    """Is `ring` one to migrate to? False when it is the one that stands."""
    if ring.epoch > state.epoch:
        return True
    if ring.epoch < state.epoch:
        raise StaleRing(state.names[0], ring.epoch, state.epoch)
    if ring != state.ring:
        raise InvalidValue(
            f"the cluster has another ring of epoch {ring.epoch}; derive the new one from cluster.ring"
        )
    return False


def announce(mover: Mover, ring: HashRing) -> Effects[None]:
    """Write the new ring, with the old one as `previous`, on all shards of both."""
    view, old = mover.view, mover.view.state
    new = RingState(ring, old.ring, mover.lease.fence)
    for name in new.names:
        view.shard(name)
    joining = sorted(set(new.names) - set(old.names))
    work = partial(_announce, new, joining)
    mover.lease.check()
    yield from together(view, old, new.names, work, joining)
    view.state = new
    mover.report.transactions += 1


def _announce(new: RingState, joining: Sequence[str], branches: Branches) -> Effects[None]:
    for name in joining:
        check_joining(name, (yield Call(branches[name], "mark")), (yield Call(branches[name], "empty")), new)
    for name, branch in branches.items():
        mark = yield Call(branch, "mark")
        rules.check_fence(name, new.fence, 0 if mark is None else mark.fence)
        yield Call(branch, "set_state", (new,))


def check_joining(name: str, mark: Mark | None, empty: bool, new: RingState) -> None:
    """Refuse a shard that holds something already.

    Raises:
        InvalidValue: the shard holds keys, or obeys a ring as new as the one it is to join.
    """
    if not empty:
        raise InvalidValue(
            f"shard {name!r} is to join the ring but holds keys already; give it an empty file"
        )
    if mark is not None and mark.epoch >= new.epoch:
        raise InvalidValue(f"shard {name!r} is to join the ring but obeys another one, of epoch {mark.epoch}")


def claim(fence: int, branches: Branches) -> Effects[None]:
    """Shut out whoever rebalanced before."""
    for name, branch in branches.items():
        rules.check_fence(name, fence, (yield Call(branch, "mark")).fence)
        yield Call(branch, "set_fence", (fence,))


def finish(ring: HashRing, fence: int, branches: Branches) -> Effects[None]:
    """Say that nothing is left to move."""
    for name, branch in branches.items():
        rules.check_fence(name, fence, (yield Call(branch, "mark")).fence)
        yield Call(branch, "set_state", (RingState(ring, None, fence),))


def _everywhere(mover: Mover, work: Callable[[Branches], Effects[None]]) -> Effects[None]:
    """Run `work` in one transaction over all shards of both rings."""
    mover.lease.check()
    state = mover.view.state
    yield from together(mover.view, state, state.names, work)
    mover.report.transactions += 1


def _migrate(mover: Mover) -> Effects[None]:
    """Move all that is to move, then finish."""
    moved = True
    while moved:
        moved = yield from _sweep_all(mover)
    ring, fence = mover.view.state.ring, mover.lease.fence
    yield from _everywhere(mover, partial(finish, ring, fence))
    mover.view.state = RingState(ring, None, fence)


def _sweep_all(mover: Mover) -> Effects[bool]:
    """Go through all old owners once; was there anything to move?"""
    previous = mover.view.state.previous
    assert previous is not None
    found = False
    for name in previous.nodes:
        found |= yield from _sweep(mover, name)
    return found


def _sweep(mover: Mover, source: str) -> Effects[bool]:
    """Move what is to leave one shard; was there anything?"""
    view, found = mover.view, False
    waiting: defaultdict[str, list[StoredKey]] = defaultdict(list)
    after: StoredKey = FIRST
    while True:
        asked = (view.state.epoch, after, None, PAGE_KEYS)
        keys: list[StoredKey] = yield from patiently(view, Call(view.shard(source), "page", asked))
        mover.report.scanned += len(keys)
        for key, target in leaving(view.state.ring, source, keys):
            waiting[target].append(key)
            found = True
        at_least = BATCH_KEYS if keys else 1
        for target, moving in waiting.items():
            while len(moving) >= at_least:
                moved = yield from _move_batch(mover, source, target, moving[:BATCH_KEYS])
                del moving[:moved]
        if not keys:
            return found
        after = keys[-1]


def leaving(ring: HashRing, source: str, keys: Sequence[StoredKey]) -> Iterator[tuple[StoredKey, str]]:
    """Those of a shard's keys that `ring` puts elsewhere, each with its new owner.

    Keys are only ever on their old or their new owner, so these are exactly the keys of the diff that are left.
    """
    if not keys:
        return
    names = ring.nodes
    owners = ring.lookup_many([original(key) for key in keys])
    stays = names.index(source) if source in names else len(names)
    for index in np.flatnonzero(owners != stays):
        yield keys[int(index)], names[owners[index]]


def _move_batch(mover: Mover, source: str, target: str, keys: Sequence[StoredKey]) -> Effects[int]:
    """Move the first of `keys` in one transaction, again if it is aborted; returns how many are done with."""
    started = yield Now()
    for attempt in range(1, ATTEMPTS + 1):
        mover.lease.check()
        work = partial(move, source, target, keys, mover.lease.fence)
        try:
            rows, seen = yield from together(mover.view, mover.view.state, (source, target), work)
        except Aborted:
            mover.report.aborted += 1
            if attempt == ATTEMPTS:
                raise
        else:
            _count(mover, rows)
            break
    yield Sleep(((yield Now()) - started) * BREATH)
    return seen


def move(
    source: str, target: str, keys: Sequence[StoredKey], fence: int, branches: Branches
) -> Effects[tuple[list[Row], int]]:
    """Take those of `keys` that are still on the source, and bring them to the target.

    Returns:
        what was moved, and how many of `keys` that settles: a batch ends early when its values are large.
    """
    for name, branch in branches.items():
        rules.check_fence(name, fence, (yield Call(branch, "mark")).fence)
    rows, seen = yield Call(branches[source], "rows", (keys, BATCH_BYTES))
    if rows:
        yield Call(branches[target], "insert", (rows,))
        yield Call(branches[source], "discard", ([key for key, _ in rows],))
    return rows, seen


def _count(mover: Mover, rows: Sequence[Row]) -> None:
    report = mover.report
    report.keys += len(rows)
    report.bytes += sum(size(value) for _, value in rows)
    report.batches += 1
    report.transactions += 1
    mover.progress(report)
