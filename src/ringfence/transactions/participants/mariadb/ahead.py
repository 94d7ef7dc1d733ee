"""Starting a protocol by sending its first request, and going on with it when the answer is wanted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ringfence.protocol import Call, Effect, Effects, run

T = TypeVar("T")


def send_ahead(steps: Effects[T]) -> Callable[[], T]:
    """Send the first request of `steps`, if it asks a session for something; the callable does the rest."""
    try:
        effect = next(steps)
    except StopIteration as stop:
        result: T = stop.value
        return lambda: result
    if isinstance(effect, Call) and effect.operation == "ask":
        effect.target.send(*effect.args)
        effect = Call(effect.target, "receive")
    return partial(_finish, steps, effect)


def _finish(steps: Effects[T], first: Effect) -> T:
    return run(_going_on(steps, first))


def _going_on(steps: Effects[T], effect: Effect) -> Effects[T]:
    """Go on with `steps`, which have yielded `effect` already."""
    while True:
        resume: Callable[[Any], Effect] = steps.send
        try:
            value = yield effect
        except BaseException as error:
            resume, value = steps.throw, error
        try:
            effect = resume(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
