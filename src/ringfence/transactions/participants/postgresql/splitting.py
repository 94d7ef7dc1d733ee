"""Sends the first request of a protocol without waiting for its answer, so that others can be sent meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ringfence.protocol import Call, Effect, Effects, run

T = TypeVar("T")


def sent(steps: Effects[T]) -> Callable[[], T]:
    """Drive a protocol until its first request is under way; the callable drives it to its end.

    The request is the first `Call` of a target that can `send`. An error before it is raised by the callable too.
    """
    resume: Any = steps.send
    value: Any = None
    while True:
        try:
            effect = resume(value)
        except StopIteration as stop:
            return partial(_answer, stop.value)
        except Exception as error:
            return partial(_raise, error)
        try:
            if isinstance(effect, Call) and hasattr(effect.target, "send"):
                receive = effect.target.send(effect.operation, *effect.args)
                return lambda: run(_rest(steps, receive))
            value = run(_one(effect))
            resume = steps.send
        except BaseException as error:  # thrown in, so that the protocol can clean up
            value = error
            resume = steps.throw


def _one(effect: Effect) -> Effects[Any]:
    return (yield effect)


def _rest(steps: Effects[T], receive: Callable[[], Any]) -> Effects[T]:
    """A protocol from the answer to its first request on."""
    resume: Any = steps.send
    value: Any
    try:
        value = receive()
    except BaseException as error:
        value, resume = error, steps.throw
    while True:
        try:
            effect = resume(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            value = yield effect
            resume = steps.send
        except BaseException as error:
            value, resume = error, steps.throw


def _answer(value: T) -> T:
    return value


def _raise(error: Exception) -> Any:
    raise error
