"""What the store asks of etcd in one atomic step, and what it reads from the answers; no I/O.

Every step that issues a fence reads the number from which this etcd counts fences, the key `prefix/origin`. Whoever
first finds none writes the microseconds since 2020 there. Revisions begin at 1 again in an etcd that lost its disk;
what it counts from is then a later moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ringfence._etcd import (
    Json,
    KeyValue,
    Request,
    TxnAnswer,
    encoded,
    get_op,
    is_absent,
    list_op,
    prefix_end,
    put_op,
    txn,
)
from ringfence.locks.stores.etcd.places import Place, fence, read


class Seen(NamedTuple):
    """A lock as it was at one revision.

    Attributes:
        revision: of the store.
        origin: from which number its fences count; None if there is none yet.
        own: the place that was asked about, if it is there.
        queue: the places that were asked for, in their order.
    """

    revision: int
    origin: int | None
    own: Place | None
    queue: list[Place]

    @property
    def fence(self) -> int | None:
        """The first fence of one's own place."""
        return fence(self.origin, self.own.revision) if self.own and self.origin is not None else None


def enter(origin: str, folder: str, place: Place, since: int | None) -> Request:
    """Return the request to make a place at the end of the queue, unless its owner has one.

    Args:
        origin: the key of the number from which fences count; without it nothing is done.
        folder: what the keys of the lock begin with.
        place: what to make.
        since: do nothing if others have come after this revision; None when that is no matter.
    """
    compare = [is_absent(place.key), _exists(origin)]
    if since is not None:
        compare.append(_made_until(folder, since))
    put = put_op(place.key, place.value, place.lease)
    return txn(compare, [put, *_look(origin, folder, place)], _look(origin, folder, place))


def look(origin: str, folder: str, place: Place) -> Request:
    """Return the request to see one's place, and those that it has to wait for."""
    return txn([], _look(origin, folder, place))


def look_at_all(origin: str, folders: Sequence[str]) -> Request:
    """Return the request to see all places whose keys begin so."""
    return txn([], [get_op(origin), *map(list_op, folders)])


def look_at_each(origin: str, keys: Sequence[str]) -> Request:
    """Return the request to see some places."""
    return txn([], [get_op(origin), *map(get_op, keys)])


def move(place: Place) -> Request:
    """Return the request to move a place to the lease it says; it stays where it is in the queue."""
    is_there = {"key": encoded(place.key), "target": "CREATE", "result": "EQUAL"}
    compare = {**is_there, "create_revision": str(place.revision)}
    return txn([compare], [put_op(place.key, place.value, place.lease)])


def begin(origin: str, number: int) -> Request:
    """Return the request to have fences count from a number, if they do not count yet."""
    return txn([is_absent(origin)], [put_op(origin, str(number))])


def departures(ahead: Sequence[Place], folder: str, revision: int) -> Request:
    """Return the request to hear of places that are given up after a revision.

    Whoever waits for a plain lock watches the one place before its own, so one departure wakes one waiter. At a
    shared lock any of those before it may make room, so it watches them all, and asks when there is room.
    """
    key, end = (ahead[0].key, b"") if len(ahead) == 1 else (folder, prefix_end(folder))
    watched = {"key": encoded(key), "range_end": encoded(end), "start_revision": str(revision + 1)}
    return Request("watch", {"create_request": {**watched, "filters": ["NOPUT"]}})


def seen(answer: TxnAnswer) -> Seen:
    """Read the answer to `enter` or `look`."""
    origins, own, queue = answer.found[-3:]
    places = sorted(map(read, queue), key=lambda place: place.revision)
    return Seen(answer.revision, number(origins), read(own[0]) if own else None, places)


def number(found: Sequence[KeyValue]) -> int | None:
    """Read the number from which fences count."""
    return int(found[0].value) if found else None


def departed(answer: Json) -> list[str]:
    """Return the keys, in base64, of the places that were given up, as a watch tells."""
    return [event["kv"]["key"] for event in answer.get("result", {}).get("events", [])]


def _look(origin: str, folder: str, place: Place) -> list[Json]:
    return [get_op(origin), get_op(place.key), _before(folder, place)]


def _before(folder: str, place: Place) -> Json:
    """Return the operation that reads the queue up to a place, or all that was made until now.

    Of a plain lock nobody needs more than the last two: oneself, and who is waited for.
    """
    asked: Json = {**list_op(folder)["requestRange"], "max_create_revision": str(place.revision)}
    last = {"sort_order": "DESCEND", "sort_target": "CREATE", "limit": "2"} if place.of == 1 else {}
    return {"requestRange": {**asked, **last}}


def _exists(key: str) -> Json:
    return {"key": encoded(key), "target": "CREATE", "result": "GREATER", "create_revision": "0"}


def _made_until(folder: str, revision: int) -> Json:
    """Return the comparison that all keys of a lock were made until a revision; it holds if there are none."""
    keys = {"key": encoded(folder), "range_end": encoded(prefix_end(folder))}
    return {**keys, "target": "CREATE", "result": "LESS", "create_revision": str(revision + 1)}
