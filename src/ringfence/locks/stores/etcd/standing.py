"""Where one who wants a lock stands, and when to ask again; no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ringfence._etcd import Json, encoded, is_change
from ringfence.locks.stores import heads
from ringfence.locks.stores.etcd import places
from ringfence.locks.stores.etcd.places import Place
from ringfence.locks.stores.etcd.requests import Seen, departed


class Standing(NamedTuple):
    """Where an owner stands, as far as a process knows.

    Attributes:
        place: its key.
        fence: of that place, when it holds.
        ahead: whom it waits for; nobody if it holds.
        revision: of the store when that was so.
    """

    place: Place
    fence: int
    ahead: list[Place]
    revision: int


def standing(seen: Seen) -> Standing:
    """Return how an owner stands whose place was seen, with what it counts fences from."""
    assert seen.own is not None
    assert seen.origin is not None
    ahead = [place for place in seen.queue if place.revision < seen.own.revision]
    fence = places.fence(seen.origin, seen.own.revision)
    return Standing(seen.own, fence, ahead if _waits(ahead, seen.own) else [], seen.revision)


def is_room(name: str, queue: Sequence[Place]) -> bool:
    """Say whether one who came now would hold a lock at once."""
    return not _waits(queue, Place("", 0, 0, *places.shares(name)))


class Room:
    """Says whether a watch has told of enough departures for one who waits.

    Args:
        waiting: how it stood when the watch began.
    """

    def __init__(self, waiting: Standing) -> None:
        self._own = waiting.place
        self._ahead = {encoded(place.key): place for place in waiting.ahead}

    def __call__(self, answer: Json) -> bool:
        """Take note of an answer; say whether there is room now, or only the store can tell."""
        gone = departed(answer)
        for key in gone:
            self._ahead.pop(key, None)
        return not _waits([*self._ahead.values()], self._own) or (is_change(answer) and not gone)


def _waits(ahead: Sequence[Place], place: Place) -> bool:
    return heads.holding([*ahead, place]) <= len(ahead)
