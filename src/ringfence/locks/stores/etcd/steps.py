"""The steps of the store, each of them one request that etcd carries out as a whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from ringfence._etcd import Etcd, NotFound, Watch, txn_answer
from ringfence.locks import rules
from ringfence.locks.stores.etcd import places, requests
from ringfence.locks.stores.etcd.places import Place
from ringfence.locks.stores.etcd.requests import Seen


class Steps:
    """Asks one etcd about places.

    Args:
        client: whom to ask.
        prefix: what all keys begin with.
    """

    def __init__(self, client: Etcd, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._origin = f"{prefix}/origin"

    def key(self, name: str, owner: str) -> str:
        """Return the key of an owner's place."""
        return f"{self._folder(name)}{owner}"

    def names(self, place: Place) -> tuple[str, str]:
        """Return the names of the lock and of the owner that a place belongs to."""
        return places.names(place, self._prefix)

    def begin(self) -> None:
        """Count fences from this moment on, unless another has begun to."""
        self._client.call(requests.begin(self._origin, rules.next_fence(0, time.time())))

    def enter(self, name: str, place: Place, since: int | None) -> tuple[bool, Seen]:
        """Make a place; say whether it was made, and what is there. See `requests.enter`."""
        request = requests.enter(self._origin, self._folder(name), place, since)
        answer = txn_answer(self._client.call(request))
        return answer.succeeded, requests.seen(answer)

    def look(self, name: str, owner: str, revision: int = 0) -> Seen:
        """See the place of an owner, and those that were made until a revision, or until now."""
        place = Place(self.key(name, owner), 0, 0, *places.shares(name), revision)
        request = requests.look(self._origin, self._folder(name), place)
        return requests.seen(txn_answer(self._client.call(request)))

    def look_at_each(self, names: Sequence[tuple[str, str]]) -> tuple[int, list[Place | None]]:
        """See the places of some owners, and from which number fences count."""
        keys = [self.key(name, owner) for name, owner in names]
        origin, *found = txn_answer(self._client.call(requests.look_at_each(self._origin, keys))).found
        return requests.number(origin) or 0, [places.read(kvs[0]) if kvs else None for kvs in found]

    def look_at_lock(self, name: str) -> tuple[int, list[Place]]:
        """See the whole queue of a lock, and from which number fences count."""
        return self._look_at_all([self._folder(name)])

    def look_at_all(self) -> tuple[int, list[Place]]:
        """See all places there are, in the order in which they were made."""
        return self._look_at_all([f"{self._prefix}/{kind}/" for kind in (places.PLAIN, places.SHARED)])

    def move(self, place: Place) -> bool:
        """Move a place to the lease it says; say whether it was still there."""
        return txn_answer(self._client.call(requests.move(place))).succeeded

    def watch(self, name: str, ahead: Sequence[Place], revision: int) -> Watch:
        """Return a watch of those ahead. See `requests.departures`."""
        return self._client.watch(requests.departures(ahead, self._folder(name), revision))

    def leave(self, place: Place) -> bool:
        """End a lease, and with it the place that hangs there; say whether there was such a lease."""
        with suppress(NotFound):
            self._client.revoke(place.lease)
            return True
        return False

    def _folder(self, name: str) -> str:
        return places.folder(self._prefix, name)

    def _look_at_all(self, folders: Sequence[str]) -> tuple[int, list[Place]]:
        origin, *found = txn_answer(self._client.call(requests.look_at_all(self._origin, folders))).found
        queue = sorted((places.read(kv) for kvs in found for kv in kvs), key=lambda place: place.revision)
        return requests.number(origin) or 0, queue
