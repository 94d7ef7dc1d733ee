"""The checker finds what is wrong with a history, and nothing wrong with one that could have happened."""

from __future__ import annotations

import math
import random
import time

import pytest

from ringfence.testing.linearizability import (
    Model,
    Operation,
    fenced_mutex,
    first_violation,
    owner_aware_mutex,
    reentrant_mutex,
    shared_lock,
)


def acquire(owner: str, fence: int, called: float, answered: float = math.inf) -> Operation:
    return Operation("acquire", owner, fence, called, answered)


def release(
    owner: str, fence: int, called: float, answered: float = math.inf, held: bool = True
) -> Operation:
    return Operation("release", owner, fence, called, answered, held)


def expire(owner: str, fence: int, deadline: float) -> Operation:
    return Operation("expire", owner, fence, deadline)


def write(fence: int, called: float, answered: float, admitted: bool = True) -> Operation:
    return Operation("write", "", fence, called, answered, admitted)


TURNS = [acquire("a", 1, 0, 1), release("a", 1, 2, 3), acquire("b", 2, 4, 5), release("b", 2, 6, 7)]
LATE_ANSWER = [acquire("a", 1, 0, 1), acquire("b", 2, 0, 5), release("a", 1, 2, 6), release("b", 2, 7, 8)]
EXPIRED = [
    acquire("a", 1, 0, 1),
    expire("a", 1, 10),
    acquire("b", 2, 9, 11),
    release("a", 1, 12, 13, held=False),
]
UNANSWERED = [acquire("a", 1, 0, 1), release("a", 1, 2), acquire("b", 2, 3, 4)]


@pytest.mark.parametrize("model", [owner_aware_mutex, fenced_mutex, reentrant_mutex])
@pytest.mark.parametrize("history", [TURNS, LATE_ANSWER, EXPIRED, UNANSWERED, []])
def test_what_could_have_happened_is_accepted(history: list[Operation], model: Model) -> None:
    assert first_violation(history, model) is None
    assert first_violation(history[::-1], model) is None


@pytest.mark.parametrize("model", [owner_aware_mutex, fenced_mutex, reentrant_mutex])
@pytest.mark.parametrize(
    ("history", "wrong"),
    [
        ([acquire("a", 1, 0, 1), acquire("b", 2, 2, 3)], 1),  # two holders
        ([acquire("a", 1, 0, 1), release("a", 1, 5, 6), acquire("b", 2, 2, 3)], 2),  # the release comes later
        ([acquire("a", 1, 0, 1), expire("a", 1, 10), acquire("b", 2, 2, 3)], 2),  # before the lease ended
        ([acquire("a", 1, 0, 1), release("b", 1, 2, 3)], 1),  # somebody else's
        ([acquire("a", 1, 0, 1), release("a", 1, 2, 3, held=False)], 1),
        ([*TURNS, release("b", 2, 8, 9)], 4),  # twice
        ([write(2, 0, 1), write(1, 2, 3)], 1),  # goes backwards
        ([write(1, 0, 1), write(2, 2, 3, admitted=False)], 1),
    ],
)
def test_what_cannot_have_happened_is_named(history: list[Operation], wrong: int, model: Model) -> None:
    assert first_violation(history, model) is history[wrong]


def test_fences_must_grow() -> None:
    history = [acquire("a", 2, 0, 1), release("a", 2, 2, 3), acquire("b", 1, 4, 5)]
    assert first_violation(history, owner_aware_mutex) is None
    assert first_violation(history, fenced_mutex) is history[2]


def test_a_reentrant_mutex_may_be_taken_again_by_its_holder_alone() -> None:
    again = [acquire("a", 1, 0, 1), acquire("a", 1, 2, 3), release("a", 1, 4, 5)]
    taken = acquire("b", 2, 6, 7)
    assert first_violation([*again, release("a", 1, 5, 6), taken], reentrant_mutex) is None
    assert first_violation([*again, taken], reentrant_mutex) is taken
    assert first_violation([acquire("a", 1, 0, 1), acquire("a", 2, 2, 3)], reentrant_mutex) is not None
    assert first_violation(again, fenced_mutex) is again[1]


def share(owner: str, fence: int, called: float, shares: int) -> list[Operation]:
    """Take a share at once, and give it back five seconds later."""
    return [
        Operation("acquire", owner, fence, called, called + 1, shares=shares),
        Operation("release", owner, fence, called + 5, called + 6, shares=shares),
    ]


def test_a_shared_lock_is_held_by_as_many_as_fit() -> None:
    readers = [*share("a", 1, 0, 1), *share("b", 2, 1, 1)]
    writer = share("c", 3, 2, 9)
    assert first_violation(readers, shared_lock(9)) is None
    assert first_violation([*readers, *writer], shared_lock(9)) is writer[0]
    assert first_violation([*readers, *writer], shared_lock(11)) is None
    assert first_violation([*readers, *share("c", 3, 7, 9)], shared_lock(9)) is None
    assert first_violation([*readers, *share("c", 3, 6.5, 9)], shared_lock(9)) is None
    waits = writer[0]._replace(answered=8.0), writer[1]._replace(called=9.0, answered=10.0)
    assert first_violation([*readers, *waits], shared_lock(9)) is None


def test_fences_of_shares_must_grow_and_only_what_is_held_is_released() -> None:
    assert first_violation([*share("a", 2, 0, 1), *share("b", 1, 2, 1)], shared_lock(9)) is not None
    held, released = share("a", 1, 0, 1)
    assert first_violation([held, released._replace(shares=2)], shared_lock(9)) is not None
    assert first_violation([held, released, released._replace(answer=False)], shared_lock(9)) is None
    assert first_violation([held, released._replace(answer=False)], shared_lock(9)) is not None
    ended = [held, expire("a", 1, 3)._replace(called=3.0), *share("b", 2, 4, 9)]
    assert first_violation(ended, shared_lock(9)) is None
    assert first_violation([held, *share("b", 2, 2, 9)], shared_lock(9)) is not None


def made_up(operations: int, owners: int, chance: random.Random) -> list[Operation]:
    """A history of a lock that works: calls begin long before, and answers come long after, what is done."""
    history: list[Operation] = []
    free = [0.0] * owners  # when each owner has heard its last answer
    moment = 0.0
    for fence in range(1, operations // 2 + 1):
        who = chance.randrange(owners)
        taken = max(moment, free[who]) + chance.random()
        freed = taken + chance.random() + 0.5
        asked = chance.uniform(free[who], taken)
        heard = chance.uniform(taken, (taken + freed) / 2)
        free[who] = freed + chance.random() * 3
        history.append(acquire(str(who), fence, asked, heard))
        history.append(release(str(who), fence, chance.uniform(heard, freed), free[who]))
        moment = freed
    return history


def test_thousands_of_operations_are_checked_in_a_short_time() -> None:
    history = made_up(4000, 8, random.Random(7))
    begun = time.process_time()
    assert first_violation(history, fenced_mutex) is None
    assert time.process_time() - begun < 30


@pytest.mark.parametrize("seed", range(20))
def test_no_change_of_a_long_history_goes_unnoticed(seed: int) -> None:
    chance = random.Random(seed)
    history = made_up(200, 4, chance)
    at = chance.randrange(10, 180) // 2 * 2
    one, other = history[at], history[at + 2]
    swapped = [*history]
    swapped[at], swapped[at + 2] = one._replace(fence=other.fence), other._replace(fence=one.fence)
    assert first_violation(swapped, fenced_mutex) is not None
    assert first_violation(history[: at + 1] + history[at + 2 :], fenced_mutex) is not None
