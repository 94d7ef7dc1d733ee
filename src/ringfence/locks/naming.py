"""The name of the lock that a decorated function takes, made from the arguments of the call."""

from __future__ import annotations

import inspect
import string
from collections.abc import Callable
from typing import Any

from ringfence.errors import InvalidType, InvalidValue
from ringfence.locks.arguments import check_name


class Naming:
    """Makes names such as `account:7` from a pattern such as `"account:{number}"`.

    Args:
        pattern: a format string whose fields begin with parameters of the function.
        function: what is going to be called.

    Raises:
        InvalidType: the pattern is not a string.
        InvalidValue: it is no format string, or has a field that is no parameter.
    """

    def __init__(self, pattern: str, function: Callable[..., Any]) -> None:
        self._pattern = check_name(pattern)
        self._signature = inspect.signature(function)
        for field in fields(pattern):
            if field not in self._signature.parameters:
                raise InvalidValue(
                    f"{pattern!r} names {field!r}, which is no parameter of {function!r}; "
                    f"it has {', '.join(self._signature.parameters) or 'none'}"
                )

    def __call__(self, *arguments: Any, **named: Any) -> str:
        """Return the name of the lock for one call."""
        bound = self._signature.bind(*arguments, **named)
        bound.apply_defaults()
        return self._pattern.format(**bound.arguments)


def fields(pattern: str) -> list[str]:
    """Return what the fields of a format string begin with."""
    try:
        found = [field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None]
    except ValueError as error:
        raise InvalidValue(f"{pattern!r} is no format string: {error}") from error
    return [field.split(".")[0].split("[")[0] for field in found]


def check_function(function: object, *, coroutine: bool) -> None:
    """Refuse to decorate what the manager cannot wait for.

    Raises:
        InvalidType: it is no function, or one of the other kind.
    """
    if not callable(function):
        raise InvalidType(f"locked() decorates a function, not {function!r}")
    if inspect.iscoroutinefunction(function) != coroutine:
        kinds = ("a coroutine function", "another manager: ringfence.LockManager is for plain functions")
        others = ("a plain function", "another manager: ringfence.aio.LockManager is for coroutine functions")
        wanted, advice = kinds if coroutine else others
        raise InvalidType(f"this locked() decorates {wanted}, not {function!r}; or take {advice}")
