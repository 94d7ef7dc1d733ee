"""Protocols are generators; I/O stands at the edge.

A protocol (acquire a lock, commit in two phases, recover) is a generator that yields *effects* and is sent
their results. It knows no socket, thread, event loop or clock. A *driver* performs the effects: `run` here for
threads, `arun` for asyncio, and the simulator in `ringfence.testing` under a seeded schedule. All three share
every line that can be wrong.

    def transfer(store):
        started = yield Now()
        answer = yield Call(store, "grant", ("x", owner, 10.0))
        yield Sleep(0.01)
        return answer

An exception raised by an effect is thrown into the generator at its `yield`, so protocols use plain
`try` / `except` / `finally`. `KeyboardInterrupt` and `asyncio.CancelledError` are thrown in likewise: a protocol
that holds something must give it back in `finally`, where it may yield further effects.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """Ask `target` to carry out `operation(*args)`; the answer is what it returns."""

    target: Any
    operation: str
    args: tuple[Any, ...] = ()


@dataclass(slots=True)
class Parallel:
    """Ask several targets at once; the answer is a list in the same order, an exception standing for a failure.

    A target with a method `send(operation, *args)` can take a request without waiting for its answer: it returns what
    waits for the answer and gives it, or None when this request cannot be split. So one thread has all requests under
    way at once. An answer that nobody waited for, because of an interrupt, is the target's to discard.
    """

    calls: tuple[Call, ...]


@dataclass(slots=True)
class Sleep:
    """Let `seconds` pass."""

    seconds: float


@dataclass(slots=True)
class Now:
    """The answer is the driver's clock in seconds; it never goes back and runs on while the machine sleeps."""


Effect: TypeAlias = Call | Parallel | Sleep | Now
Effects: TypeAlias = Generator[Effect, Any, T]
"""A protocol that returns a `T`."""


now = functools.partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds on a clock that never goes back and, where the system has one, runs on in suspend."""


def run(steps: Effects[T], known: list[Any] | None = None, outcome: Any = None) -> T:
    """Drive a protocol to its end in this thread, and return its result.

    Args:
        steps: the protocol.
        known: what came of its first effects, where these were carried out before; an exception if they failed. It
            is emptied.
        outcome: what came of the effect that it stands at, an exception if that failed; None if it has not begun.
    """
    resume: Any = steps.throw if isinstance(outcome, BaseException) else steps.send
    value: Any = outcome
    while True:
        try:
            effect = resume(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            if known:
                value = known.pop(0)
                _raise(value)
            elif type(effect) is Call:
                value = _call(effect)
            elif type(effect) is Now:
                value = now()
            else:
                value = _perform(effect)
            resume = steps.send
        except BaseException as error:  # thrown in, so that the protocol can clean up
            value = error
            resume = steps.throw


def _raise(outcome: object) -> None:
    if isinstance(outcome, BaseException):
        raise outcome


async def arun(steps: Effects[T], known: list[Any] | None = None) -> T:
    """Drive a protocol to its end in this task, and return its result; see `run`."""
    resume: Any = steps.send
    value: Any = None
    while True:
        try:
            effect = resume(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            if known:
                value = known.pop(0)
                _raise(value)
            elif type(effect) is Now:
                value = now()
            elif type(effect) is Call:
                value = getattr(effect.target, effect.operation)(*effect.args)
                if hasattr(value, "__await__"):
                    value = await value
            else:
                value = await _aperform(effect)
            resume = steps.send
        except BaseException as error:  # cancellation too: the protocol gives back what it holds
            value = error
            resume = steps.throw


def _call(call: Call) -> Any:
    return getattr(call.target, call.operation)(*call.args)


def _perform(effect: Effect) -> Any:
    match effect:
        case Call():
            return _call(effect)
        case Now():
            return now()
        case Sleep():
            return time.sleep(effect.seconds)
        case Parallel():
            return _together(effect.calls)


async def _aperform(effect: Effect) -> Any:
    match effect:
        case Call():
            answer = getattr(effect.target, effect.operation)(*effect.args)
            return await answer if hasattr(answer, "__await__") else answer
        case Now():
            return now()
        case Sleep():
            return await asyncio.sleep(effect.seconds)
        case Parallel():
            return await asyncio.gather(*map(_aperform, effect.calls), return_exceptions=True)


def _together(calls: tuple[Call, ...]) -> list[Any]:
    """Send what can be sent ahead, carry the other requests out meanwhile, and then wait for the answers."""
    sent = [_sent(call) if hasattr(call.target, "send") else None for call in calls]
    answers = [None if receive else _outcome(_call, call) for receive, call in zip(sent, calls, strict=True)]
    for number, receive in enumerate(sent):
        if receive:
            answers[number] = _outcome(receive)
    return answers


def _sent(call: Call) -> Callable[[], Any] | None:
    try:
        receive: Callable[[], Any] | None = call.target.send(call.operation, *call.args)
    except Exception as error:
        return partial(_raise, error)
    return receive


def _outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        return error
