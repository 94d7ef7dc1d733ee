"""Get, put and delete one key, also while keys are being moved: why each key is always in one place.

While a migration lasts, a key whose owner changed is *moving*: it is on its source (the old owner) or on its target
(the new one). Every other key is on its one owner, and one statement there does.

1.  One ring at a time. Every step on a shard compares epochs under the shard's lock. The announcement of a new ring
    holds all shards at once, so work under the old ring is over everywhere before work under the new one starts
    anywhere; a client with an old view gets `StaleRing`. Finishing a migration leaves the epoch as it is, because a
    client that still looks at the source first finds nothing there and goes on to the target.
2.  One place. Whoever changes a moving key (a put, a delete, a mover) changes source and target in one transaction:
    put on the target and delete on the source, delete on both, insert on the target and delete on the source. So
    committed states have the key in one place or nowhere. Keys only ever leave a source.
3.  Writers and movers take both locks, in order of name: they follow one another, and do not wait in a circle. A
    branch that finds nothing to delete on the source has only read and lets go early; rule 2 keeps that true.
4.  A reader looks at the source, then at the target; the order matters, for that is how keys move. Found on the
    source: nobody can have finished changing the key without changing the source. Not found: it has left the source
    for good, so the target alone decides. If it left in a transaction that has not yet committed on the target, that
    one is prepared there (all prepare before one commits), and a reader waits at prepared transactions.
5.  A crash between the two commits leaves the branch prepared. The shard stays locked for everybody until recovery
    has followed the decision, and then rules 2 and 4 hold as if nothing had happened.
"""

from __future__ import annotations

from functools import partial

from ringfence.cluster import rules
from ringfence.cluster.entries import Key, StoredKey, Value, stored
from ringfence.cluster.joint import Branches, together
from ringfence.cluster.view import View, current, patiently
from ringfence.protocol import Call, Effects


def get(view: View, key: Key) -> Effects[Value | None]:
    """The value of `key`, None when there is no such key."""
    return (yield from current(view, partial(_get, view, key, stored(key))))


def put(view: View, key: Key, value: Value) -> Effects[None]:
    """Store `value` under `key`, durably."""
    yield from current(view, partial(_put, view, key, stored(key), value))


def delete(view: View, key: Key) -> Effects[bool]:
    """Delete `key`, durably; was there such a key?"""
    return (yield from current(view, partial(_delete, view, key, stored(key))))


def _get(view: View, key: Key, kept: StoredKey) -> Effects[Value | None]:
    state = view.state
    for name in rules.lookup_order(*state.places(key)):
        found: Value | None = yield from patiently(view, Call(view.shard(name), "read", (kept, state.epoch)))
        if found is not None:
            return found
    return None


def _put(view: View, key: Key, kept: StoredKey, value: Value) -> Effects[None]:
    state = view.state
    source, target = state.places(key)
    if source == target:
        yield from patiently(view, Call(view.shard(target), "write", (kept, value, state.epoch)))
    else:
        yield from together(view, state, (source, target), partial(put_moving, source, target, kept, value))


def _delete(view: View, key: Key, kept: StoredKey) -> Effects[bool]:
    state = view.state
    source, target = state.places(key)
    if source == target:
        return (yield from patiently(view, Call(view.shard(target), "erase", (kept, state.epoch))))
    return (yield from together(view, state, (source, target), partial(delete_moving, source, target, kept)))


def put_moving(source: str, target: str, kept: StoredKey, value: Value, branches: Branches) -> Effects[None]:
    """Write a moving key to its target; nothing stays on its source."""
    yield Call(branches[target], "put", (kept, value))
    yield Call(branches[source], "delete", (kept,))


def delete_moving(source: str, target: str, kept: StoredKey, branches: Branches) -> Effects[bool]:
    """Delete a moving key, wherever it is."""
    on_source = yield Call(branches[source], "delete", (kept,))
    on_target = yield Call(branches[target], "delete", (kept,))
    return bool(on_source or on_target)
