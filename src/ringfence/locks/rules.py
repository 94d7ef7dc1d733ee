"""The rules that make a lock safe, one small function each, and the times at which things are tried again.

Stores and protocols call them by this module's name, so that a test can switch one off in one place and show
what it prevents.
"""

from __future__ import annotations

import math

PLACE = 10.0
"""Seconds after which the place of a waiter that does not ask again ends."""

ASK_AGAIN = 3.0
"""Seconds after which a waiter asks again at the latest."""

FENCES = 32
"""How many fences a grant is asked for, one for each holder that the lock is handed on to within a process."""

_YEAR_2020 = 1_577_836_800
_LONGEST_AGE = 10.0
_HAND_ON_FOR = 0.005


def deadline(sent: float, answered: float, ttl: float) -> float:
    """Return when a lease ends for its holder, counted from before the request.

    The store may have answered late, but it cannot have granted early.
    """
    return min(sent, answered) + ttl


def pushed_deadline(sent: float, received: float, age: float, ttl: float) -> float:
    """Return when a lease ends that the store granted while its holder waited.

    Args:
        sent: when the holder first asked for a place in the queue, before the request.
        received: when it heard of the grant.
        age: seconds on the store's clock from when the place was made until the grant.
        ttl: seconds.

    Returns:
        No later than the lease ends in the store: the place cannot have been made before it was asked for. Minus
        infinity after a long wait, in which the clocks may have drifted: the holder asks again.
    """
    return min(sent + age, received) + ttl if age <= _LONGEST_AGE else -math.inf


def is_over(deadline: float, now: float) -> bool:
    """Say whether a lease has ended; it is over at its deadline, not after it."""
    return deadline <= now


def is_holder(held_owner: str, held_fence: int, owner: str, fence: int) -> bool:
    """Say whether a claim is the one that holds the lock, by owner and by fence.

    So a late renewal or release never touches a newer grant.
    """
    return held_owner == owner and held_fence == fence


def fits(taken: int, asked: int, of: int) -> bool:
    """Say whether there is room on a shared lock beside the shares that others hold."""
    return taken + asked <= of


def next_fence(last: int, wall: float) -> int:
    """Return the fence of a new grant: above the last one, and above those of a store whose file was lost.

    Args:
        last: the last fence the store issued, 0 if it knows of none.
        wall: seconds since 1970.

    Returns:
        Microseconds since 2020, or `last + 1` where that is more; below 2**53 until the year 2305.
    """
    return max(last + 1, int((wall - _YEAR_2020) * 1e6))


def may_hand_on(handed: int, fences: int, held: float, left: float, ttl: float) -> bool:
    """Say whether a process may hand a lock on among its own threads or tasks, without asking the store.

    Args:
        handed: how often it will have done so since the store's grant; each time takes one number of the block.
        fences: how many numbers the block has.
        held: seconds since that grant: for how long others may have waited.
        left: seconds until the lease ends.
        ttl: for how long the next holder wants it; a lease that is due to be renewed is not handed on.
    """
    return handed < fences and held <= _HAND_ON_FOR and left >= ttl * 2 / 3


def admits(mark: int, fence: int) -> bool:
    """Say whether a guard lets a write through; the holder that wrote last may write again."""
    return fence >= mark


def renew_at(deadline: float, ttl: float) -> float:
    """Return when to renew: after a third of the ttl, which leaves two thirds for trying again."""
    return deadline - ttl * 2 / 3


def retry_at(now: float, ttl: float) -> float:
    """Return when to try an unanswered renewal again."""
    return now + min(ttl / 20, 1.0)


def backoff(attempt: int, jitter: float) -> float:
    """Return how long a waiter sleeps before it asks again: 1 ms, doubling up to 25 ms, less up to a half.

    Args:
        attempt: how often it has asked in vain before, from 0.
        jitter: a random number from 0 to 1, so that waiters do not ask in step.
    """
    return min(0.001 * 2.0 ** min(attempt, 5), 0.025) * (1 - jitter / 2)
