"""The protocols that take a lock and give it back.

An unanswered request is unknown, not failed: a grant is asked for again with the same owner id, to which the
store gives the same fence; a release is asked for again until it is answered. Whoever leaves without a lease, by
error, `KeyboardInterrupt` or cancellation, withdraws what the store may have granted meanwhile.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

from ringfence.errors import OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks import rules
from ringfence.locks.stores import Claim, LockStore
from ringfence.protocol import Call, Effects, Now, Sleep

UNANSWERED = (OutcomeUnknown, StoreTimeout)
_PATIENCE = 1.0
"""Seconds for which a release or withdrawal is tried again before the lease is left to its ttl."""


class Granted(NamedTuple):
    """A lock that was got.

    Attributes:
        claim: what is held.
        deadline: when it ends, on the clock of the driver that asked.
    """

    claim: Claim
    deadline: float


def acquire(
    store: LockStore,
    name: str,
    owner: str,
    ttl: float,
    timeout: float | None = None,
    jitter: Callable[[], float] = random.random,
) -> Effects[Granted | None]:
    """Take the lock `name` for `ttl` seconds.

    Args:
        store: who arbitrates.
        name: the lock.
        owner: an id used for this one acquisition.
        ttl: seconds.
        timeout: seconds to wait while another holds it; 0 asks once, None waits for ever.
        jitter: random numbers from 0 to 1.

    Returns:
        The grant, or None if another held the lock all the time.

    Raises:
        StoreTimeout: the store did not answer in time. The lock is not held.
        OutcomeUnknown: likewise; should the store have granted it after all, it ends after its ttl.
        StoreError: the store failed.
    """
    try:
        granted = yield from _ask_until_granted(store, name, owner, ttl, timeout, jitter)
    except (GeneratorExit, StoreTimeout):
        raise
    except BaseException:
        yield from withdraw(store, name, owner)
        raise
    return granted


def _ask_until_granted(
    store: LockStore, name: str, owner: str, ttl: float, timeout: float | None, jitter: Callable[[], float]
) -> Effects[Granted | None]:
    until = math.inf if timeout is None else (yield Now()) + timeout
    failure: StoreError | None = None
    attempt = 0
    while True:
        granted, failure = yield from _ask(store, name, owner, ttl, failure)
        if granted is not None:
            return granted
        left = until - (yield Now())
        if left <= 0:
            if failure is not None:
                raise failure
            return None
        yield Sleep(min(rules.backoff(attempt, jitter()), left))
        attempt += 1


def _ask(
    store: LockStore, name: str, owner: str, ttl: float, before: StoreError | None
) -> Effects[tuple[Granted | None, StoreError | None]]:
    """Ask once; return the grant, or the failure that stands: an unknown outcome stands until an answer."""
    sent = yield Now()
    try:
        fence = yield Call(store, "grant", (name, owner, ttl))
    except OutcomeUnknown as failure:
        return None, failure
    except StoreTimeout as failure:
        return None, before if isinstance(before, OutcomeUnknown) else failure
    if fence is None:
        return None, None
    answered = yield Now()
    deadline = rules.deadline(sent, answered, ttl)
    if rules.is_over(deadline, answered):
        return None, OutcomeUnknown(f"{name!r} was granted too late to be used; take a ttl above {ttl} s")
    return Granted(Claim(name, owner, fence, ttl), deadline), None


def withdraw(store: LockStore, name: str, owner: str) -> Effects[None]:
    """Give back whatever the store has granted to `owner`; if it does not answer, the ttl ends it."""
    try:
        yield from _until_answered(Call(store, "withdraw", (name, owner)), math.inf)
    except StoreError:
        return  # the error that led here says more; unrenewed, the grant ends after its ttl


def release(store: LockStore, claim: Claim, deadline: float) -> Effects[bool]:
    """Give a lock back, and say whether it was still held.

    Args:
        store: who arbitrates.
        claim: what was granted.
        deadline: when the lease ends; a release is not tried again after that.

    Raises:
        StoreError: the store failed, or did not answer for a second. The release may be asked for again; the
            lease ends after its ttl anyway.
    """
    held, unsure = yield from _until_answered(
        Call(store, "release", (claim.name, claim.owner, claim.fence)), deadline
    )
    if held or not unsure:
        return bool(held)
    # An earlier, unanswered request freed it, for it cannot have ended by itself before its deadline.
    return not rules.is_over(deadline, (yield Now()))


def _until_answered(call: Call, deadline: float) -> Effects[tuple[object, bool]]:
    """Repeat a request; return the answer, and whether an earlier one may have been carried out."""
    until = min(deadline, (yield Now()) + _PATIENCE)
    unsure = False
    attempt = 0
    while True:
        try:
            return (yield call), unsure
        except UNANSWERED as failure:
            unsure = unsure or isinstance(failure, OutcomeUnknown)
            if (yield Now()) >= until:
                raise
        yield Sleep(rules.backoff(attempt, 0.0))
        attempt += 1
