"""Switches for the rules of the cluster (ring epochs, the rebalancer's fence, the order of look-ups)."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ringfence.cluster import listing, rules, single
from ringfence.cluster.entries import StoredKey, Value
from ringfence.cluster.joint import Branches
from ringfence.protocol import Call, Effects, Sleep
from ringfence.testing.switches.replaced import replaced


def newer_ring_refuses_older() -> AbstractContextManager[None]:
    """Cluster: a shard refuses whoever goes by an older ring than its own.

    Off, a client that has not heard of the new ring writes a key where nobody looks for it any more.
    """
    return replaced(rules, "check_epoch", lambda *_: None)


def prepared_work_stops_others() -> AbstractContextManager[None]:
    """Cluster: nobody reads past a prepared transaction.

    Off, a reader comes between the two commits of a move, and finds the key neither here nor there.
    """
    return replaced(rules, "check_settled", lambda *_: None)


def source_before_target() -> AbstractContextManager[None]:
    """Cluster: a moving key is looked for on its old owner first, for that is how keys move.

    Off, it moves behind the back of the reader, who finds it nowhere.
    """
    return replaced(rules, "lookup_order", lambda source, target: dict.fromkeys((target, source)))


def newer_lease_refuses_older() -> AbstractContextManager[None]:
    """Cluster: a shard refuses a rebalancer after one with a newer lease.

    Off, one that was paused past its lease works on beside the next one.
    """
    return replaced(rules, "check_fence", lambda *_: None)


def keys_are_read_twice() -> AbstractContextManager[None]:
    """Cluster: while keys are being moved, every shard is read twice for a list of keys.

    Off, a key that moves from a shard not yet read to one that was read is missing.
    """

    def not_again(*_: object) -> Effects[set[StoredKey]]:
        yield Sleep(0.0)
        return set()

    return replaced(listing, "_again", not_again)


def put_leaves_no_copy() -> AbstractContextManager[None]:
    """Cluster: whoever puts a moving key takes it from its old owner in the same transaction.

    Off, there are two of it, and the one that is moved last wins.
    """

    def put(_: str, target: str, key: StoredKey, value: Value, branches: Branches) -> Effects[None]:
        yield Call(branches[target], "put", (key, value))

    return replaced(single, "put_moving", put)
