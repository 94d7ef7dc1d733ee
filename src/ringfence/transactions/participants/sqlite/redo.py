"""The redo of a branch: the statements that made it, as JSON, and running them again with the same effect."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ringfence.errors import InvalidType
from ringfence.transactions.participants.sqlite.deterministic import Answers

_EXACT: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,  # str() of an enum may be its name
    int: int,
    float: float,
    bytes: bytes,
}
_PLAIN = frozenset({*_EXACT, type(None)})
_BYTES = "$"

Parameters = Sequence[Any] | Mapping[str, Any]


class Statement(NamedTuple):
    """A statement that was run in a branch.

    Attributes:
        sql: its text.
        parameters: of one run; or a list of those, when `many`.
        many: it was run once for each item of `parameters`.
        changed: how many rows it changed, triggers included.
        answers: what the changeable functions answered.
    """

    sql: str
    parameters: Any
    many: bool
    changed: int
    answers: list[Any]


class Diverged(Exception):
    """A statement run again did something else than the first time."""


def freeze(parameters: Parameters) -> Parameters:
    """Copy the parameters of a statement, so that they can be bound again later.

    Raises:
        InvalidType: one of them is not of SQLite's own types.
    """
    if type(parameters) is tuple and _PLAIN.issuperset(map(type, parameters)):  # by far the most frequent
        return parameters
    if isinstance(parameters, Mapping):
        named = {
            name: value for name, value in parameters.items() if isinstance(name, str) and name != _BYTES
        }
        return dict(zip(named, freeze(list(named.values())), strict=True))
    if isinstance(parameters, str | bytes) or not isinstance(parameters, Sequence):
        raise InvalidType(f"parameters are a sequence or a mapping, not {parameters!r}")
    return tuple(map(_plain, parameters))


def _plain(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(
        value, str | int | float | bytes
    ):  # adapted here, for another process may have other adapters
        value = sqlite3.adapt(value, sqlite3.PrepareProtocol, value)
    for kind, exact in _EXACT.items():
        if isinstance(value, kind):
            return exact(value)
    raise InvalidType(f"a parameter is str, int, float, bytes or None, not {value!r}")


def encode(statements: Iterable[Statement]) -> str:
    """The statements as JSON; bytes are tagged, and in base64."""
    return json.dumps(list(statements), default=_tag, separators=(",", ":"))


def decode(text: str) -> list[Statement]:
    """The statements that `encode` wrote."""
    return [Statement(*fields) for fields in json.loads(text, object_hook=_untag)]


def _tag(value: bytes) -> dict[str, str]:
    return {_BYTES: base64.b64encode(value).decode()}


def _untag(found: dict[str, Any]) -> Any:
    return base64.b64decode(found[_BYTES]) if _BYTES in found else found


def run_again(connection: sqlite3.Connection, answers: Answers, statements: Iterable[Statement]) -> None:
    """Run `statements` with the effect they had the first time, in the transaction that is open.

    Raises:
        Diverged: one had another effect, so this is not the same database any more.
        sqlite3.Error: one failed.
    """
    connection.execute(Answers.START)
    for statement in statements:
        before = connection.total_changes
        answers.replay(statement.answers)
        run = connection.executemany if statement.many else connection.execute
        run(statement.sql, statement.parameters).fetchall()
        changed = connection.total_changes - before
        if changed != statement.changed or answers.left():
            raise Diverged(f"{statement.sql!r} changed {changed} rows, not {statement.changed} as before")
