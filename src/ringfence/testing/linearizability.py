"""Is there an order in which a history of a lock could have happened, one operation at a time?

The checker is that of Wing and Gong (1993) as improved by Lowe ("Testing for linearizability", 2017): it goes through
the calls and answers in the order of their times, and keeps every state the lock may be in, each with the operations
under way that have taken effect already. A lock with leases is no plain mutex: a lease that is not released may end
by itself at any time from its deadline on, which stands in the history as an operation of its own that is never
answered. The models are those of Hazelcast's Jepsen tests.

    history = [Operation("acquire", "a", 7, 0.0, 0.1), Operation("release", "a", 7, 0.2, 0.3), ...]
    assert first_violation(history, fenced_mutex) is None
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple


class Operation(NamedTuple):
    """One operation on a lock, or on what it guards.

    Attributes:
        action: "acquire", "release", "expire" (a lease ends by itself) or "write" (through a guard).
        owner: who.
        fence: of the lease.
        called: when it began, in seconds; for "expire", the deadline of the lease.
        answered: when it ended; infinity when it never did, so that it may have taken effect at any time, or never.
        answer: whether it succeeded: False for a release of what was not held, and for a write that was refused.
        shares: how much of a shared lock it is about.
    """

    action: str
    owner: str
    fence: int
    called: float
    answered: float = math.inf
    answer: bool = True
    shares: int = 1


class State(NamedTuple):
    """What is true of a lock between two operations.

    Attributes:
        owner: who holds it; empty when nobody does.
        fence: of the holder.
        depth: how often the holder has taken it.
        newest: the greatest fence of any holder.
        mark: the greatest fence that has written.
        holders: who holds a shared lock: owner, fence and shares.
    """

    owner: str = ""
    fence: int = 0
    depth: int = 0
    newest: int = 0
    mark: int = 0
    holders: frozenset[tuple[str, int, int]] = frozenset()


Model = Callable[[State, Operation], State | None]
"""What an operation makes of a state; None where it cannot have happened."""


def owner_aware_mutex(state: State, operation: Operation) -> State | None:
    """Only one holds, and only who holds can release."""
    held = (state.owner, state.fence) == (operation.owner, operation.fence)
    match operation:
        case Operation(action="acquire"):
            return None if state.owner else _held_by(state, operation)
        case Operation(action="release", answer=True) | Operation(action="expire"):
            return state._replace(owner="", fence=0, depth=0) if held else None
        case Operation(action="release"):
            return None if held else state
    return _write(state, operation)


def fenced_mutex(state: State, operation: Operation) -> State | None:
    """An owner-aware mutex whose holders have greater and greater fences."""
    if operation.action == "acquire" and operation.fence <= state.newest:
        return None
    return owner_aware_mutex(state, operation)


def reentrant_mutex(state: State, operation: Operation) -> State | None:
    """A fenced mutex whose holder may take it again, under the same fence, and releases it as often."""
    held = (state.owner, state.fence) == (operation.owner, operation.fence)
    if held and operation.action == "acquire":
        return state._replace(depth=state.depth + 1)
    if held and operation.action == "release" and operation.answer and state.depth > 1:
        return state._replace(depth=state.depth - 1)
    return fenced_mutex(state, operation)


def shared_lock(of: int) -> Model:
    """Return the model of a lock of `of` shares: as many hold it as fit, under greater and greater fences."""

    def model(state: State, operation: Operation) -> State | None:
        holder = operation.owner, operation.fence, operation.shares
        taken = sum(shares for _, _, shares in state.holders)
        match operation:
            case Operation(action="acquire"):
                if operation.fence <= state.newest or taken + operation.shares > of:
                    return None
                return state._replace(holders=state.holders | {holder}, newest=operation.fence)
            case Operation(action="release", answer=True) | Operation(action="expire"):
                return state._replace(holders=state.holders - {holder}) if holder in state.holders else None
            case Operation(action="release"):
                return None if holder in state.holders else state
        return _write(state, operation)

    return model


def first_violation(history: Sequence[Operation], model: Model) -> Operation | None:
    """Return the first operation that cannot be explained, in the order of the answers; None if all can be.

    The time it takes grows with the number of operations, and steeply with how many are under way at once.

    Args:
        history: in any order.
        model: says what may happen.
    """
    possible: set[_Possibility] = {(State(), frozenset())}
    under_way: dict[int, Operation] = {}
    for _, is_answer, number in sorted(_events(history)):
        if not is_answer:
            under_way[number] = history[number]
            continue
        possible = set(_with_effect(possible, number, under_way, model))
        if not possible:
            return history[number]
        del under_way[number]
    return None


_Possibility = tuple[State, frozenset[int]]
"""A state, and which of the operations under way have taken effect."""


def _events(history: Sequence[Operation]) -> Iterator[tuple[float, bool, int]]:
    for number, operation in enumerate(history):
        yield operation.called, False, number
        if operation.answered < math.inf:
            yield operation.answered, True, number


def _with_effect(
    possible: set[_Possibility], number: int, under_way: dict[int, Operation], model: Model
) -> Iterator[_Possibility]:
    """Yield all possibilities in which an operation has taken effect; it is forgotten then."""
    stack, seen = list(possible), set(possible)
    while stack:
        state, done = stack.pop()
        if number in done:
            yield state, done - {number}
            continue
        for other, operation in under_way.items():
            after = None if other in done else model(state, operation)
            if after is not None and (after, done | {other}) not in seen:
                seen.add((after, done | {other}))
                stack.append((after, done | {other}))


def _held_by(state: State, operation: Operation) -> State:
    newest = max(state.newest, operation.fence)
    return state._replace(owner=operation.owner, fence=operation.fence, depth=1, newest=newest)


def _write(state: State, operation: Operation) -> State | None:
    if operation.answer != (operation.fence >= state.mark):
        return None
    return state._replace(mark=max(state.mark, operation.fence))
