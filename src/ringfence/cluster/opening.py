"""Open a cluster: take the ring from its shards, or give new shards their first one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from ringfence.cluster.entries import FIRST, original
from ringfence.cluster.joint import Branches, together
from ringfence.cluster.shards import no_ring
from ringfence.cluster.state import RingState
from ringfence.cluster.view import View, load, newest
from ringfence.errors import EmptyRing, InDoubt, InvalidValue, StaleRing, StoreError, UnknownNode
from ringfence.placement import HashRing
from ringfence.protocol import Call, Effects

LOOKED_AT = 16
"""Keys of each shard that are looked at when it is opened."""


def open_cluster(view: View, ring: HashRing | None) -> Effects[None]:
    """Take over the state that the shards have; if they have none, give them `ring`, or one of all shards.

    Raises:
        InvalidValue: the shards have another ring than `ring`, or new shards hold keys already.
        UnknownNode: the ring names a shard that `view` does not have.
        StoreDamaged: a shard of the ring has lost its state.
        InvalidValue: a shard holds the keys of another one.
    """
    states = yield from load(view)
    if not states:
        yield from _first_opening(view, HashRing(sorted(view.shards)) if ring is None else ring)
        states = yield from load(view)
    view.state = newest(states)
    check_known(view.state.names, view.shards)
    for name in view.state.names:
        if name not in states:
            yield from _check_joining(view, name)
        yield from _check_placed(view, name)
    check_same(view.state.ring, ring)


def _first_opening(view: View, ring: HashRing) -> Effects[None]:
    """Write the first state on all shards of the ring, unless somebody was faster."""
    state = RingState(ring)
    if not state.names:
        raise EmptyRing
    check_known(state.names, view.shards)
    yield from together(view, state, state.names, partial(_begin, state), joining=state.names)


def _begin(state: RingState, branches: Branches) -> Effects[None]:
    for branch in branches.values():
        if (yield Call(branch, "mark")) is not None:
            return
    for name, branch in branches.items():
        if not (yield Call(branch, "empty")):
            raise InvalidValue(
                f"shard {name!r} holds keys but no ring; a new cluster begins with empty shards"
            )
    for branch in branches.values():
        yield Call(branch, "set_state", (state,))


def _check_joining(view: View, name: str) -> Effects[None]:
    """Refuse a shard of the ring that has no state, unless it is just being given one.

    Raises:
        StoreDamaged: it has lost its state.
    """
    shard = view.shard(name)
    prepared = yield Call(shard.participant, "recover")
    if not prepared and (yield Call(shard, "state")) is None:
        raise no_ring(name)


def _check_placed(view: View, name: str) -> Effects[None]:
    """Refuse a shard whose first keys belong elsewhere: its file was given under the name of another one.

    Raises:
        InvalidValue: they do.
    """
    try:
        keys = yield Call(view.shard(name), "page", (view.state.epoch, FIRST, None, LOOKED_AT))
    except (StaleRing, InDoubt, StoreError):
        return  # whoever needs this shard will see for themselves
    for key in map(original, keys):
        if name not in view.state.places(key):
            raise InvalidValue(
                f"shard {name!r} holds key {key!r}, which belongs on {view.state.ring[key]!r}; "
                f"give each shard its own file"
            )


def check_known(names: Collection[str], shards: Mapping[str, object]) -> None:
    """Refuse a ring that names shards which this cluster was not given."""
    for name in names:
        if name not in shards:
            raise UnknownNode(name, tuple(shards))


def check_same(stands: HashRing, given: HashRing | None) -> None:
    """Refuse a ring that contradicts the one the shards have."""
    if given is not None and stands != given:
        raise InvalidValue(
            f"the shards have {stands!r}, not {given!r}; open without ring=, then cluster.rebalance(ring)"
        )
