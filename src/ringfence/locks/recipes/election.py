"""An election: candidates queue for one lock, whoever holds it leads, and everybody can see who that is.

The leader's value stands in the owner id of its lease, so it is there in the same step as the lease and goes with it.
So a candidate asks the store for itself, and takes no lease that another candidate of its process hands on. Observers
ask the store now and then; a leadership that began and ended between two questions is not seen, but its fence is
missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar
from urllib.parse import quote, unquote

from ringfence._core.leases import new_owner
from ringfence.errors import InvalidType, InvalidValue
from ringfence.locks.acquire import UNANSWERED, Granted, acquire
from ringfence.locks.arguments import check_seconds, check_timeout
from ringfence.locks.lease import BaseLease, Lease
from ringfence.locks.lock import BaseLock, Lock
from ringfence.locks.session import Session
from ringfence.locks.stores import Status
from ringfence.protocol import Call, Effects, Sleep, run

L = TypeVar("L", bound=BaseLease)

NOBODY_YET = -1
"""What an observer has seen before it asked first."""

_BYTES = 64


class Leader(NamedTuple):
    """Who leads.

    Attributes:
        value: what the leader told of itself; empty if it told nothing.
        fence: of its lease; each later leader has a greater one.
        remaining: seconds until its lease ends unless it is renewed.
    """

    value: str
    fence: int
    remaining: float


class BaseElection(BaseLock[L]):
    """What elections of threads and of tasks have in common."""

    _value = ""

    def _stand_for(self, value: object) -> None:
        self._value = check_value(value)

    def _asking(self, timeout: float | None) -> Effects[Granted | None]:
        session: Session = self._session
        session.check_open()
        owner = candidate(self._value)
        return acquire(session.store, self._name, owner, self._ttl, timeout, check=session.check_open)

    def _leading(self) -> Effects[Leader | None]:
        self._session.check_open()
        status: Status = yield Call(self._session.store, "status", (self._name,))
        holder = status.holder
        return None if holder is None else Leader(value_of(holder.owner), holder.fence, holder.remaining)

    def _following(self, seen: int, every: float) -> Effects[Leader | None]:
        """Wait until the fence of the leader is another one than was seen; 0 stands for nobody."""
        while True:
            try:
                leader = yield from self._leading()
            except UNANSWERED:
                yield Sleep(every)
                continue
            if fence_of(leader) != seen:
                return leader
            yield Sleep(every)


def candidate(value: str) -> str:
    """Return an owner id that says a value, in printable ASCII."""
    return f"{new_owner()}={quote(value, safe=':')}" if value else new_owner()


def value_of(owner: str) -> str:
    """Return the value that an owner id says; empty if it says none."""
    return unquote(owner.partition("=")[2])


def fence_of(leader: Leader | None) -> int:
    """Return the fence of the leader; 0 when there is none."""
    return 0 if leader is None else leader.fence


def check_value(value: object) -> str:
    """Return what a candidate tells of itself.

    Raises:
        InvalidType: it is not a string.
        InvalidValue: it is too long for an owner id, or no text.
    """
    if not isinstance(value, str):
        raise InvalidType(f"the value of a candidate is a str such as 'host:port', not {value!r}")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidValue(f"the value of a candidate is text without surrogates, not {value!r}")
    if len(value.encode()) > _BYTES:
        raise InvalidValue(
            f"the value of a candidate has {_BYTES} bytes in UTF-8 at most; tell where more is to be found, "
            f"not {value[:40]!r}…"
        )
    return value


class Election(BaseElection[Lease], Lock):
    """An election of `LockManager.election()`, for threads and processes.

    ::

        with manager.election("scheduler", value="10.0.0.7:8080") as lease:     # waits until it leads
            while lease.valid:
                ...

        for leader in manager.election("scheduler").observe():
            print(leader.value if leader else "nobody")

    It is a lock, and a leader holds its lease: `lease.release()`, or leaving the block, resigns, and the candidate who
    has waited for longest leads; `lease.on_lost` tells of a leadership that was lost.
    """

    def __init__(self, session: Session, name: str, value: str, ttl: float) -> None:
        super().__init__(session, name, ttl, renew=True)
        self._stand_for(value)

    def campaign(self, timeout: float | None = None) -> Lease | None:
        """Wait until this candidate leads.

        Args:
            timeout: seconds to wait; 0 asks once, None waits for ever.

        Returns:
            The lease of the leader, or None if others led all the time.

        Raises:
            InvalidType: the timeout is neither None nor a number.
            InvalidValue: it is negative.
            StoreError: as of `Lock.acquire`; this is no candidate any more.
        """
        return self._acquire(check_timeout(True, timeout))

    def _acquire(self, timeout: float | None) -> Lease | None:
        return run(self._acquiring(timeout))

    def leader(self) -> Leader | None:
        """Return who leads now; None if nobody does.

        Raises:
            StoreError: the store failed or did not answer.
        """
        return run(self._leading())

    def observe(self, every: float = 1.0) -> Iterator[Leader | None]:
        """Follow who leads: now, and then whenever another one does, or nobody.

        Args:
            every: seconds between two questions to the store.

        Raises:
            InvalidType: `every` is not a number.
            InvalidValue: it is not from 0.01 to 86400 seconds.
            StoreError: the store failed, or the manager was closed. A question that is not answered is asked again.
        """
        return self._observing(check_seconds("every", every))

    def _observing(self, every: float) -> Iterator[Leader | None]:
        seen = NOBODY_YET
        while True:
            leader = run(self._following(seen, every))
            seen = fence_of(leader)
            yield leader
