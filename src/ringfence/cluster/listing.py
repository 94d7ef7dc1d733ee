"""List the keys of a cluster, each exactly once, also while they are being moved.

All shards are read side by side in order of key, a stretch of keys at a time. While a migration lasts each stretch
is read twice from every shard: a key that had left its source when the source was read the first time is on its
target when the target is read the second time, because a reader waits at prepared transactions. A key that was there
all the time is therefore seen, and as one stretch is gathered in a set, it is seen once.
"""

from __future__ import annotations

from functools import partial

from ringfence.cluster.entries import FIRST, StoredKey, order
from ringfence.cluster.view import View, current, patiently
from ringfence.protocol import Call, Effects

PAGE_KEYS = 1024
"""Keys that are read from a shard at a time."""


def stretch(view: View, after: StoredKey = FIRST) -> Effects[tuple[list[StoredKey], bool]]:
    """The keys that come next after `after`, and whether there may be more.

    The list is empty only at the end.
    """
    return (yield from current(view, partial(_stretch, view, after)))


def _stretch(view: View, after: StoredKey) -> Effects[tuple[list[StoredKey], bool]]:
    state = view.state
    found: set[StoredKey] = set()
    ends: list[StoredKey] = []
    for name in state.names:
        asked = (state.epoch, after, None, PAGE_KEYS)
        page: list[StoredKey] = yield from patiently(view, Call(view.shard(name), "page", asked))
        found.update(page)
        if len(page) == PAGE_KEYS:
            ends.append(page[-1])
    upto = min(ends, key=order, default=None)
    if state.previous is not None:
        found |= yield from _again(view, after, upto)
    within = [key for key in found if upto is None or order(key) <= order(upto)]
    return sorted(within, key=order), upto is not None


def _again(view: View, after: StoredKey, upto: StoredKey | None) -> Effects[set[StoredKey]]:
    """The same stretch once more, for keys that were between two shards."""
    state = view.state
    found: set[StoredKey] = set()
    for name in state.names:
        asked = (state.epoch, after, upto)
        found.update((yield from patiently(view, Call(view.shard(name), "page", asked))))
    return found
