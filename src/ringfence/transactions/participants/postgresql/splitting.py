"""Sends the first request of a protocol without waiting for its answer, so that others can be sent meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ringfence.protocol import Call, Effect, Effects, Parallel, run

T = TypeVar("T")


def sent(steps: Effects[T]) -> Callable[[], T]:
    """Drive a protocol until its first request is under way; the callable drives it to its end.

    The request is the first `Call`, or the first `Parallel` calls, of targets that can `send`. An error before it is
    raised by the callable too.
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
            receive = _send(effect)
            if receive is not None:
                return partial(_finish, steps, receive)
            value = run(_one(effect))
            resume = steps.send
        except BaseException as error:  # thrown in, so that the protocol can clean up
            value = error
            resume = steps.throw


def _send(effect: Effect) -> Callable[[], Any] | None:
    """Send what an effect asks of targets that can `send`; None for other effects."""
    if isinstance(effect, Call) and hasattr(effect.target, "send"):
        receive: Callable[[], Any] = effect.target.send(effect.operation, *effect.args)
        return receive
    if not isinstance(effect, Parallel) or not all(hasattr(call.target, "send") for call in effect.calls):
        return None
    sent = [_outcome(partial(call.target.send, call.operation, *call.args)) for call in effect.calls]
    return lambda: [_outcome(one) if callable(one) else one for one in sent]


def _outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        return error


def _one(effect: Effect) -> Effects[Any]:
    return (yield effect)


def _finish(steps: Effects[T], receive: Callable[[], Any]) -> T:
    try:
        outcome = receive()
    except BaseException as error:  # thrown in, so that the protocol can clean up
        outcome = error
    return run(steps, outcome=outcome)


def _answer(value: T) -> T:
    return value


def _raise(error: Exception) -> Any:
    raise error
