"""Switches for the rules of locks (fences, deadlines, guards)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from ringfence._core.leases import FenceMarks
from ringfence.errors import StoreError
from ringfence.locks import acquire as acquiring
from ringfence.locks import rules
from ringfence.locks.stores import Shared
from ringfence.locks.stores.memory import MemoryStore
from ringfence.locks.stores.memory_shared import SharedLocks
from ringfence.protocol import Call, Effects, Now
from ringfence.testing.switches.replaced import replaced
from ringfence.testing.workloads.locks import Leases


def fences_grow() -> AbstractContextManager[None]:
    """Locks 1: a fence is above the last one, whatever the wall clock says.

    Off, a fence is the wall clock alone: when somebody sets it back, a newer holder gets an older fence, and the guard
    refuses it, or lets the stale one write.
    """
    return replaced(rules, "next_fence", lambda last, wall: max(1, int(wall * 1e6)))  # noqa: ARG005


def holder_is_owner_and_fence() -> AbstractContextManager[None]:
    """Locks 2: a release or renewal must come from the owner, with the fence, of the grant that stands.

    Off, anyone's will do: a late or doubled release frees the lock that another holds.
    """
    return replaced(rules, "is_holder", lambda *_: True)


def deadline_from_before() -> AbstractContextManager[None]:
    """Locks 3: a lease's deadline is counted from before the request was sent.

    Off, it is counted from the answer: the holder believes in its lease longer than the store does.
    """
    return replaced(rules, "deadline", lambda _, answered, ttl: answered + ttl)


def pushed_deadline_from_before() -> AbstractContextManager[None]:
    """Locks 3: the deadline of a lease that was granted while its holder waited counts from before its request.

    Off, it is counted from when the holder hears of it: a push that is late is believed longer than the store does.
    """
    return replaced(rules, "pushed_deadline", lambda _, received, age, ttl: received + ttl)  # noqa: ARG005


def first_come_first_served() -> AbstractContextManager[None]:
    """Waiting: a lock that becomes free is granted to the first waiter in the same step.

    Off, it is free for whoever asks first: newcomers overtake those who wait.
    """

    def free(store: MemoryStore, name: str) -> None:
        del store._rows[name]

    return replaced(MemoryStore, "_hand_on", free)


def shares_fit() -> AbstractContextManager[None]:
    """Sharing: a lock is granted to as many as there are shares for.

    Off, everyone gets a share: a writer writes beside readers.
    """
    return replaced(rules, "fits", lambda *_: True)


def shares_wait_their_turn() -> AbstractContextManager[None]:
    """Sharing: nobody gets a share while another waits for one, however small it is.

    Off, readers that come one after the other keep a writer waiting for ever.
    """
    grant = SharedLocks.grant

    def barging(
        locks: SharedLocks, name: Shared, owner: str, ttl: float, queue: bool, fences: int
    ) -> int | None:
        lock = locks._settled(name)
        waiting, lock.queue = lock.queue, {}
        try:
            return grant(locks, name, owner, ttl, queue, fences)
        finally:
            lock.queue = waiting | lock.queue

    return replaced(SharedLocks, "grant", barging)


def withdrawn_leaves_queue() -> AbstractContextManager[None]:
    """Waiting: a waiter that gives up leaves the queue.

    Off, it ends up holding a lock that it does not know of.
    """
    withdraw = acquiring.withdraw

    def only_what_is_held(store: Any, name: str, owner: str) -> Effects[None]:
        holder = store.status(name).holder
        if holder is not None and holder.owner == owner:
            yield from withdraw(store, name, owner)

    return replaced(acquiring, "withdraw", only_what_is_held)


def handed_on_within_block() -> AbstractContextManager[None]:
    """Waiting: a process hands a lock on among its own as often as its block has fences, and not for long.

    Off, it uses numbers that the store did not give to it: the next grant has a fence that was used before.
    """
    return replaced(rules, "may_hand_on", lambda *_: True)


def lost_at_deadline() -> AbstractContextManager[None]:
    """Locks 3: a lease is lost at its deadline, whether or not the store was heard.

    Off, it is lost when a renewal is refused: a holder that was paused or cut off works on beside the next one.
    """
    return replaced(Leases, "deadline", lambda table, claim: float("inf" if claim in table else "-inf"))


def owner_asks_again() -> AbstractContextManager[None]:
    """Locks 4: an acquire that was not answered is asked again, and the same owner gets the same fence.

    Off, the owner that holds the lock without knowing it is refused like everyone else.
    """
    grant = MemoryStore.grant

    def refusing(store: MemoryStore, name: str, owner: str, *rest: Any) -> int | None:
        holder = store.status(name).holder
        return None if holder is not None and holder.owner == owner else grant(store, name, owner, *rest)

    return replaced(MemoryStore, "grant", refusing)


def unanswered_is_asked_again() -> AbstractContextManager[None]:
    """Locks 4: a release or withdrawal is asked again until it is answered.

    Off, one request must do, and its loss is taken for success: a lock is left held that nobody has.
    """

    def once(call: Call, _: float) -> Effects[tuple[object, bool]]:
        try:
            return (yield call), False
        except StoreError:
            yield Now()
            return True, False

    return replaced(acquiring, "until_answered", once)


def always_a_ttl() -> AbstractContextManager[None]:
    """Locks 5: every lease ends by itself.

    Off, the lock of a holder that crashed is never free again.
    """
    return replaced(rules, "is_over", lambda *_: False)


def guard_compares_fences() -> AbstractContextManager[None]:
    """Locks 6: a guard compares the fence in the same step as it writes.

    Off, a holder that was paused past its lease overwrites what the next one wrote.
    """
    return replaced(FenceMarks, "admit", lambda *_: True)
