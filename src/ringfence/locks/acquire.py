"""The protocols that take a lock and give it back.

An unanswered request is unknown, not failed: a grant is asked for again with the same owner id, to which the
store gives the same fence; a release is asked for again until it is answered. Whoever leaves without a lease, by
error, `KeyboardInterrupt` or cancellation, withdraws what the store may have granted meanwhile.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ringfence.errors import OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks import rules
from ringfence.locks.stores import Claim, LockStore, Push
from ringfence.protocol import Call, Effects, Now, Sleep

UNANSWERED = (OutcomeUnknown, StoreTimeout)
_new = tuple.__new__
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
    fences: int = 1,
    check: Callable[[], object] = bool,
) -> Effects[Granted | None]:
    """Take the lock `name` for `ttl` seconds.

    Args:
        store: who arbitrates.
        name: the lock.
        owner: an id used for this one acquisition.
        ttl: seconds.
        timeout: seconds to wait in the queue; 0 asks once, None waits for ever.
        jitter: random numbers from 0 to 1.
        fences: how many numbers the grant shall have.
        check: called before each question; what it raises ends the waiting.

    Returns:
        The grant, or None if others held the lock all the time.

    Raises:
        StoreTimeout: the store did not answer in time. The lock is not held.
        OutcomeUnknown: likewise; should the store have granted it after all, it ends after its ttl.
        StoreError: the store failed.
    """
    request = _Request(store, name, owner, ttl, timeout != 0, fences, check)
    try:
        return (yield from _ask_until_granted(request, timeout, jitter))
    except GeneratorExit:
        raise
    except BaseException as error:
        if request.queued or not isinstance(error, StoreTimeout):
            yield from withdraw(store, name, owner)
        raise


@dataclass(slots=True)
class _Request:
    """What is asked for, and how far it got."""

    store: LockStore
    name: str
    owner: str
    ttl: float
    queue: bool
    fences: int
    check: Callable[[], object]
    sent: float = math.inf  # when it was first asked for, and with it a place in the queue
    queued: bool = False  # it may stand in the queue
    failure: StoreError | None = None  # of the last question


def _ask_until_granted(
    request: _Request, timeout: float | None, jitter: Callable[[], float]
) -> Effects[Granted | None]:
    attempt = 0
    while True:
        granted = yield from _ask(request)
        if granted is not None:
            return granted
        until = math.inf if timeout is None else request.sent + timeout
        left = until - (yield Now())
        if left <= 0:
            if request.failure is not None:
                raise request.failure
            if request.queued:
                yield from withdraw(request.store, request.name, request.owner)
            return None
        if request.failure is not None:
            yield Sleep(min(rules.backoff(attempt, jitter()), left))
            attempt += 1
            continue
        granted = yield from _wait(request, min(left, rules.ASK_AGAIN))
        if granted is not None:
            return granted


def _ask(request: _Request) -> Effects[Granted | None]:
    """Ask once. A failure is kept: an unknown outcome stands until there is an answer."""
    request.check()
    sent = yield Now()
    request.sent = min(request.sent, sent)
    arguments = (request.name, request.owner, request.ttl, request.queue, request.fences)
    try:
        fence = yield Call(request.store, "grant", arguments)
    except UNANSWERED as failure:
        _note(request, failure)
        return None
    request.failure = None
    request.queued = request.queue and fence is None
    if fence is None:
        return None
    granted = answered(request.name, request.owner, request.ttl, fence, sent, (yield Now()))
    if granted is None:
        request.failure = OutcomeUnknown(
            f"{request.name!r} was granted too late to be used; take a ttl above {request.ttl} s"
        )
    return granted


def _wait(request: _Request, seconds: float) -> Effects[Granted | None]:
    """Wait in the queue; None when it is time to ask again."""
    try:
        push = yield Call(request.store, "wait", (request.name, request.owner, seconds))
    except UNANSWERED as failure:
        _note(request, failure)
        return None
    if push is None:
        return None
    return pushed(request.name, request.owner, request.ttl, push, request.sent, (yield Now()))


def _note(request: _Request, failure: StoreError) -> None:
    if isinstance(failure, OutcomeUnknown):
        request.queued = request.queued or request.queue
        request.failure = failure
    elif not isinstance(request.failure, OutcomeUnknown):
        request.failure = failure


def answered(name: str, owner: str, ttl: float, fence: int, sent: float, heard: float) -> Granted | None:
    """Return the grant that the answer to a question tells of, unless it is over already."""
    return _granted(name, owner, ttl, fence, rules.deadline(sent, heard, ttl), heard)


def pushed(name: str, owner: str, ttl: float, push: Push, sent: float, heard: float) -> Granted | None:
    """Return the grant that a push tells of, unless it is over already."""
    deadline = rules.pushed_deadline(sent, heard, push.age, ttl)
    return _granted(name, owner, ttl, push.fence, deadline, heard)


def _granted(name: str, owner: str, ttl: float, fence: int, deadline: float, moment: float) -> Granted | None:
    if rules.is_over(deadline, moment):
        return None
    claim = _new(Claim, (name, owner, fence, ttl, 0))  # spares the call of an interpreted `__new__`
    return _new(Granted, (claim, deadline))


def withdraw(store: LockStore, name: str, owner: str) -> Effects[None]:
    """Give back whatever the store has granted to `owner`; if it does not answer, the ttl ends it."""
    try:
        yield from until_answered(Call(store, "withdraw", (name, owner)), math.inf)
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
    held, unsure = yield from until_answered(
        Call(store, "release", (claim.name, claim.owner, claim.fence)), deadline
    )
    if held or not unsure:
        return bool(held)
    # An earlier, unanswered request freed it, for it cannot have ended by itself before its deadline.
    return not rules.is_over(deadline, (yield Now()))


def until_answered(call: Call, deadline: float) -> Effects[tuple[object, bool]]:
    """Repeat a request, for a second at most.

    Returns:
        The answer, and whether an earlier request may have been carried out.
    """
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
