"""Lock stores: what arbitrates between holders and issues the fences, one backend a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self


class Shared(str):
    """The name of a lock that several may hold at once, and how much of it is asked for.

    A reader asks for one of very many shares, a writer for all of them, a holder of a semaphore for one of its
    permits. It knows nothing of the plain lock of the same name.

    Attributes:
        asked: how many shares are asked for.
        of: how many there are, by this asker's reckoning.
    """

    __slots__ = ("asked", "of")

    asked: int
    of: int

    def __new__(cls, name: str, asked: int, of: int) -> Self:
        """Name a lock."""
        self = super().__new__(cls, name)
        self.asked = asked
        self.of = of
        return self

    def __getnewargs__(self) -> tuple[str, int, int]:  # type: ignore[override]  # str itself has none but its text
        return str(self), self.asked, self.of


class Claim(NamedTuple):
    """What a holder says it holds, and for how long it wants to.

    Attributes:
        name: the lock.
        owner: the id of this one acquisition.
        fence: the number the store issued with the grant.
        ttl: seconds.
        handed: how often the lock was handed on within the process since that grant; stores take no notice of it.
    """

    name: str
    owner: str
    fence: int
    ttl: float
    handed: int = 0


class Holder(NamedTuple):
    """Who holds a lock.

    Attributes:
        name: the lock; `Shared` where others may hold it beside this one.
        owner: the id of the acquisition that holds it.
        fence: the fence of the grant.
        remaining: seconds until the lease ends unless it is renewed.
    """

    name: str
    owner: str
    fence: int
    remaining: float


class Status(NamedTuple):
    """Who holds a lock, and who waits for it.

    Attributes:
        holders: by fence; one at most of a lock that is not shared.
        waiting: the owner ids of those who wait, in the order in which they came; empty where the store cannot tell.
    """

    holders: tuple[Holder, ...]
    waiting: tuple[str, ...]

    @property
    def holder(self) -> Holder | None:
        """Who has held the lock for longest; None when it is free."""
        return self.holders[0] if self.holders else None


class Push(NamedTuple):
    """A grant that the store made while its owner waited.

    Attributes:
        fence: the fence of the grant.
        age: seconds on the store's clock from when the owner's place in the queue was made until the grant.
    """

    fence: int
    age: float


class LockStore(Protocol):
    """What a lock backend does. Every method may be asked twice with the same arguments without harm.

    Waiters queue in the store, first come, first served: a lock that is released, withdrawn or found to have ended is
    granted in the same step to the first waiter whose place has not ended. A place ends `rules.PLACE` seconds after
    it was last asked for.

    A lease in the store ends by the store's own clock, `ttl` seconds after a grant or renewal arrived, and never
    sooner than an earlier answer promised. A store that does not answer raises `StoreTimeout` (nothing happened)
    or `OutcomeUnknown`.

    A lock whose name is `Shared` is granted to as many as there are shares for: to an owner for whose share there is
    room beside the living holders', when no living waiter stands before it. Whatever makes room grants the lock to
    as many from the head of the queue as fit, in the same step; each grant has a greater fence than all before.

    Attributes:
        shared: whether the store carries such locks; one that does not is never asked for any.
    """

    shared: bool

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Give the lock to `owner` and return the fence; None if another has it, or others wait for it.

        The fence is issued in the same atomic step, and greater than every fence issued for this lock before,
        across restarts. An owner that holds the lock already gets the same fence again, and is extended.

        Args:
            name: the lock.
            owner: the id of one acquisition.
            ttl: seconds.
            queue: take a place at the end of the queue, if the lock is not to be had; an owner that has a place
                keeps it, and its time begins anew.
            fences: how many numbers to issue, for the holder to count on by itself; the first is returned.
        """

    def wait(self, name: str, owner: str, seconds: float) -> Push | None:
        """Wait for a grant to `owner`, who has a place in the queue; `seconds` at most.

        Returns:
            The grant, if the store can tell when it made it; None when it is time to ask `grant` again.
        """

    def renew(self, claims: Sequence[Claim]) -> Sequence[bool | None]:
        """Extend the leases that are still held, by owner and fence; for each claim, say whether it is.

        A store of several servers says None where one did not answer, and raises when none did.
        """

    def release(self, name: str, owner: str, fence: int) -> bool:
        """Free the lock if this owner holds it with this fence; say whether it did."""

    def withdraw(self, name: str, owner: str) -> None:
        """Free the lock if this owner holds it with whatever fence, and take the owner out of the queue."""

    def status(self, name: str) -> Status:
        """Return who holds a lock, and who waits for it; of a shared lock, any `Shared` of its name will do."""

    def leases(self) -> list[Holder]:
        """Return all leases there are, by name and then by fence."""

    def close(self) -> None:
        """Give up files and connections; leases stay as they are. Closing twice is harmless."""
