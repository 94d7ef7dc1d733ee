"""The lock store in etcd."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ringfence._etcd import Etcd, Watch, located
from ringfence._forks import tell_of_forks
from ringfence.errors import BackendUnavailable, InvalidValue, OutcomeUnknown, StoreError
from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder, Push, Status, heads
from ringfence.locks.stores.etcd import places
from ringfence.locks.stores.etcd.places import Place
from ringfence.locks.stores.etcd.standing import Room, Standing, is_room, standing
from ringfence.locks.stores.etcd.steps import Steps

BATCH = 100  # claims that are looked at in one step; etcd takes 128 operations
REMEMBERED = 50_000  # standings; who is forgotten is looked up


class EtcdStore:
    """Leases in etcd, from version 3.4 on, by its JSON gateway, for processes anywhere.

    Each acquisition has a key and a lease of etcd of its own, in whole seconds and no shorter than etcd allows. etcd
    ends it, up to a second late. A place in the queue hangs on a lease of `rules.PLACE` seconds, or the ttl if that is
    less. What a place is, is all in its key, so any process can renew or release for another; this one remembers some
    of it, to ask less.

    Args:
        url: `etcd://host:port,host:port` or `etcds://…` (TLS), and a path to name the keys by, else `ringfence`.
        timeout: seconds to wait for an answer.

    Raises:
        BackendUnavailable: urllib3 is not installed.
        InvalidType: `url` is not a string.
        InvalidValue: it names no members of an etcd.
    """

    shared = True

    def __init__(self, url: str, *, timeout: float = 2.0) -> None:
        self._endpoints, path = located(url)
        self._prefix = path or "ringfence"
        self._timeout = timeout
        self._closed = False
        self._start()
        tell_of_forks(self)

    def _start(self) -> None:
        self._client = Etcd(self._endpoints, self._timeout)
        self._steps = Steps(self._client, self._prefix)
        self._reached = False
        self._standings: OrderedDict[str, Standing] = OrderedDict()  # by key
        self._watches: set[Watch] = set()

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it.

        Raises:
            InvalidValue: more fences are asked for than a grant has.
        """
        if fences > rules.FENCES:
            raise InvalidValue(f"etcd issues {rules.FENCES} fences with a grant at most, not {fences}")
        seconds = math.ceil(ttl)
        with self._asking():
            found = self._stay(name, owner) or self._come(name, owner, seconds, queue)
            if found is None:
                return None
            if found.ahead:
                self._keep(found, min(seconds, math.ceil(rules.PLACE)))
                return None
            return found.fence if self._keep(found, max(seconds, found.place.seconds)) else None

    def wait(self, name: str, owner: str, seconds: float) -> Push | None:
        """Wait until there seems to be room for `owner`, who has a place in the queue; `seconds` at most.

        It ends early, to be asked again, where a place would not last: a third of its lease is the limit.
        """
        found = self._standings.get(self._steps.key(name, owner))
        if found is None or not found.ahead:
            return None
        with self._asking(), self._watching(self._steps.watch(name, found.ahead, found.revision)) as watch:
            watch.wait(min(seconds, found.place.seconds / 3), Room(found))
        return None

    def renew(self, claims: Sequence[Claim]) -> list[bool]:
        """Extend the leases that are still held; for each claim, say whether it is."""
        held: list[bool] = []
        with self._asking():
            for start in range(0, len(claims), BATCH):
                held += self._renew(claims[start : start + BATCH])
        return held

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence; say whether it did."""
        known = self._standings.pop(self._steps.key(name, owner), None)
        with self._asking():
            if known is not None and known.fence == fence and self._steps.leave(known.place):
                return True
            seen = self._steps.look(name, owner)
            return seen.own is not None and seen.fence == fence and self._steps.leave(seen.own)

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""
        self._standings.pop(self._steps.key(name, owner), None)
        with self._asking():
            own = self._steps.look(name, owner).own
            if own is not None:
                self._steps.leave(own)

    def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it; of a shared lock, any `Shared` of its name will do."""
        with self._asking():
            origin, queue = self._steps.look_at_lock(name)
            count = heads.holding(queue)
            holders = tuple(self._holder(place, origin) for place in queue[:count])
            return Status(holders, tuple(self._steps.names(place)[1] for place in queue[count:]))

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence; each is asked for its time by itself."""
        with self._asking():
            origin, found = self._steps.look_at_all()
            queues: dict[str, list[Place]] = {}
            for place in found:
                queues.setdefault(place.key.rpartition("/")[0], []).append(place)
            holding = [place for queue in queues.values() for place in queue[: heads.holding(queue)]]
            return sorted(
                (self._holder(place, origin) for place in holding), key=lambda one: (one[0], one[2])
            )

    def close(self) -> None:
        """Close the connections and end all waiting; leases stay as they are. Closing twice is harmless."""
        self._closed = True
        for watch in list(self._watches):
            watch.stop()
        self._client.close()

    def forked(self) -> None:
        """Connect afresh in a forked child: the connections are the parent's."""
        self._parents = self._client  # kept open, and not used
        self._start()

    def _stay(self, name: str, owner: str) -> Standing | None:
        """Let the place of an owner last for its time from now on; None if this process knows of none."""
        known = self._standings.pop(self._steps.key(name, owner), None)
        return None if known is None else self._keep_alive(name, owner, known.place)

    def _come(self, name: str, owner: str, seconds: int, queue: bool) -> Standing | None:
        """Find the place of an owner, or make one; None if it is not to queue, and had to."""
        while True:
            since = None
            if not queue:
                seen = self._steps.look(name, owner)
                if seen.own is None and not is_room(name, seen.queue):
                    return None
                since = seen.revision
            lease = self._client.grant(seconds)
            place = Place(self._steps.key(name, owner), lease, seconds, *places.shares(name))
            made, seen = self._steps.enter(name, place, since)
            if made:
                return self._remember(standing(seen))
            self._steps.leave(place)
            if seen.origin is None:
                self._steps.begin()
            if seen.own is not None and (found := self._keep_alive(name, owner, seen.own)):
                return found

    def _keep_alive(self, name: str, owner: str, place: Place) -> Standing | None:
        """Let a place last for its time from now on, and see who is ahead of it; None if it is no more."""
        while self._client.keep_alive(place.lease):
            seen = self._steps.look(name, owner, place.revision)
            if seen.own is None or seen.own.revision != place.revision:
                return None
            if seen.origin is None:
                self._steps.begin()
            elif seen.own.lease == place.lease:
                return self._remember(standing(seen))
            place = seen.own  # another request may have moved it to another lease
        return None

    def _keep(self, found: Standing, seconds: int) -> bool:
        """Have a place on a lease of so many seconds; say whether it still is there."""
        if found.place.seconds == seconds:
            return True
        moved = self._move(found.place, seconds)
        if moved is not None:
            self._remember(found._replace(place=moved))
        return moved is not None

    def _move(self, place: Place, seconds: int) -> Place | None:
        """Move a place to a new lease and end the old one; None if it is no more."""
        self._standings.pop(place.key, None)  # what is known of it is not to be trusted if this ends half-way
        moved = place._replace(lease=self._client.grant(seconds), seconds=seconds)
        done = self._steps.move(moved)
        self._steps.leave(place if done else moved)
        return moved if done else None

    def _renew(self, claims: Sequence[Claim]) -> list[bool]:
        origin, found = self._steps.look_at_each([(claim.name, claim.owner) for claim in claims])
        held: list[Place | None] = []
        to_keep = []
        for claim, place in zip(claims, found, strict=True):
            own = place if place is not None and places.fence(origin, place.revision) == claim.fence else None
            seconds = math.ceil(claim.ttl)
            if own is not None and self._is_to_move(own, seconds):
                own = self._move(own, seconds)
            elif own is not None and own.seconds == seconds:
                to_keep.append(own.lease)
            held.append(own)
        alive = self._client.keep_all(to_keep)
        return [place is not None and alive.get(place.lease, True) for place in held]

    def _is_to_move(self, place: Place, seconds: int) -> bool:
        """Say whether a place needs another lease to last so long; a longer one is used up before."""
        if place.seconds <= seconds:
            return place.seconds < seconds
        return self._client.remaining(place.lease) < seconds

    def _holder(self, place: Place, origin: int) -> Holder:
        name, owner = self._steps.names(place)
        remaining = float(max(self._client.remaining(place.lease), 0))
        return Holder(name, owner, places.fence(origin, place.revision), remaining)

    def _remember(self, found: Standing) -> Standing:
        self._standings[found.place.key] = found
        if len(self._standings) > REMEMBERED:
            with suppress(KeyError):
                self._standings.popitem(last=False)
        return found

    @contextmanager
    def _watching(self, watch: Watch) -> Iterator[Watch]:
        """Let `close` end a watch."""
        self._watches.add(watch)
        try:
            if self._closed:
                watch.stop()
            yield watch
        finally:
            self._watches.discard(watch)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Refuse what comes after `close`; an etcd that was reached once may come back."""
        if self._closed:
            raise StoreError(f"the lock store on {self._client.place} was closed; open a new one")
        try:
            yield
        except BackendUnavailable as error:
            if self._reached:
                raise OutcomeUnknown(f"{error}; ask again") from error
            raise
        self._reached = True
