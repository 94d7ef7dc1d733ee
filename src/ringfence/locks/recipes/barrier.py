"""A barrier: nobody goes on before so many have come; then they may meet again.

Each party that comes takes a share of a lock, which it holds, and renews, for as long as it waits: a party that died
counts until its ttl is over, and no longer. Shares have fences, each greater than those before. Whoever comes counts
the shares; the last one finds that all are there, and puts up a mark: all up to this fence have met. The mark is a
lock too, whose owner id says the fence. Those who wait look for the mark, and go when it is above their own fence.

A party gives its share back after the mark was put up, and may come again at once, with a greater fence. It counts
only the fences above the mark, and reads that after the shares: so whoever sees a share of the next round sees the
mark of this one too, and nobody is counted in two rounds.
"""

from __future__ import annotations

import math
from typing import Generic, TypeVar

from ringfence.errors import InvalidType, InvalidValue, StoreError
from ringfence.locks.acquire import until_answered
from ringfence.locks.arguments import check_name, check_timeout
from ringfence.locks.lease import BaseLease, Lease
from ringfence.locks.lock import BaseLock, Lock
from ringfence.locks.recipes.giving_back import give_back_after
from ringfence.locks.recipes.outliving import check_outliving
from ringfence.locks.recipes.sharing import MOST, share
from ringfence.locks.session import Session
from ringfence.locks.stores import LockStore, Shared, Status
from ringfence.protocol import Call, Effects, Now, Sleep, run

L = TypeVar("L", bound=BaseLease)

_LONGEST_SLEEP = 0.1
_KEPT = 10
"""For how many times the ttl a mark stands: a party that is held up for longer has lost its share."""


class BaseBarrier(Generic[L]):
    """What barriers of threads and of tasks have in common.

    Args:
        session: of the manager.
        arrival: takes a share.
        parties: how many have to come.
    """

    def __init__(self, session: Session, arrival: BaseLock[L], parties: int) -> None:
        self._session = session
        self._store = session.store
        self._arrival = arrival
        self._parties = parties
        self._mark = check_name(f"{arrival.name}:met")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self._arrival.name)!r} parties={self._parties}>"

    def _waiting(self, timeout: float | None) -> Effects[bool]:
        until = math.inf if timeout is None else (yield Now()) + timeout
        lease = yield from self._arrival._acquiring(timeout)
        if lease is None:
            return False
        try:
            met = yield from self._meeting(lease, until)
        except GeneratorExit:
            raise
        except BaseException as error:
            yield from give_back_after(error, [lease])
            raise
        try:
            yield from lease._releasing()
        except StoreError:
            if not met:
                raise
        return met

    def _meeting(self, lease: L, until: float) -> Effects[bool]:
        if (yield from self._all_there(lease)):
            return True
        attempt = 0
        while (yield from self._met()) < lease.fence:
            self._session.check_open()
            lease.check()
            left = until - (yield Now())
            if left <= 0:
                return False
            yield Sleep(min(0.001 * 2.0 ** min(attempt, 7), _LONGEST_SLEEP, left))
            attempt += 1
        return True

    def _all_there(self, lease: L) -> Effects[bool]:
        """Count who is there, and put up the mark when all are."""
        status = yield from self._status(self._arrival.name)
        met = yield from self._met()
        fences = [holder.fence for holder in status.holders if holder.fence > met]
        if len(fences) < self._parties or lease.fence not in fences:
            return met >= lease.fence
        yield from self._put_up(max(fences), lease.ttl * _KEPT)
        return True

    def _put_up(self, fence: int, ttl: float) -> Effects[None]:
        while True:
            holder = (yield from self._status(self._mark)).holder
            if holder is not None and marked(holder.owner) >= fence:
                return
            if holder is not None:
                yield from self._ask("release", self._mark, holder.owner, holder.fence)
            yield from self._ask("grant", self._mark, f"met={fence}", ttl)

    def _met(self) -> Effects[int]:
        """Return the fence up to which all have met; 0 if none have, or long ago."""
        holder = (yield from self._status(self._mark)).holder
        return 0 if holder is None else marked(holder.owner)

    def _status(self, name: str) -> Effects[Status]:
        status = yield from self._ask("status", name)
        assert isinstance(status, Status)
        return status

    def _ask(self, operation: str, *arguments: object) -> Effects[object]:
        answer, _ = yield from until_answered(Call(self._store, operation, arguments), math.inf)
        return answer


def marked(owner: str) -> int:
    """Return the fence that the owner id of a mark says; 0 if it is no mark."""
    said = owner.removeprefix("met=")
    return int(said) if said != owner and said.isdecimal() else 0


def arrival(store: LockStore, name: str, parties: object) -> Shared:
    """Return the share that one party takes.

    Raises:
        InvalidType: the number of parties is not an integer, or the name no string.
        InvalidValue: one is out of bounds, or the store does not carry shared locks, or forgets when a session ends.
    """
    if isinstance(parties, bool) or not isinstance(parties, int):
        raise InvalidType(f"parties is an int, not {parties!r}")
    if not 1 <= parties <= MOST:
        raise InvalidValue(f"a barrier has from 1 to {MOST} parties, not {parties}")
    check_outliving(store, "barrier")
    return share(store, "barrier", name, 1, parties)


class Barrier(BaseBarrier[Lease]):
    """A barrier of `LockManager.barrier()`, for threads and processes.

    ::

        if not manager.barrier("loaded", parties=4).wait(timeout=60):
            raise SystemExit("not all four have come")

    It may be used again and again: who comes while those of the round before still leave is of the next one. All
    have to give the same number of parties.
    """

    def __init__(self, session: Session, name: str, parties: int, ttl: float) -> None:
        super().__init__(session, Lock(session, arrival(session.store, name, parties), ttl, True), parties)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all have come; each call is a party.

        Args:
            timeout: seconds to wait; None waits for ever.

        Returns:
            Whether all have come: so many living parties waited at one moment. False when the time was over; the
            others wait on, for another one. Whoever leaves in the very moment in which the last one comes may have
            been counted all the same.

        Raises:
            InvalidType: the timeout is neither None nor a number.
            InvalidValue: it is negative.
            LeaseLost: this party was held up for longer than its ttl and counted no more.
            StoreError: the store failed or did not answer; this party counts no more.
        """
        return run(self._waiting(check_timeout(True, timeout)))
