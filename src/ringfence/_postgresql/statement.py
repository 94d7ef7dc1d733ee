"""SQL and its parameters, in the form in which libpq takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ringfence.errors import InvalidType, InvalidValue

_TEXT = 25
_TEXTS = 1009
_INTEGER = 20

_PLACEHOLDER = re.compile(r"%(?:(%)|s|\(([^)]*)\)s|.?)", re.DOTALL)


class Statement(NamedTuple):
    """One statement of the extended protocol.

    Attributes:
        sql: with `$1`, `$2`, … for the values.
        values: as PostgreSQL reads them; None for NULL.
        types: the oids of their types.
        formats: of each value, 0 for text and 1 for binary; None when all are text.
        lasting: it will come again, so that it pays to have it parsed once.
    """

    sql: bytes
    values: Sequence[Any] = ()
    types: Sequence[int] = ()
    formats: Sequence[Any] | None = None
    lasting: bool = True


def statement(sql: str, *values: str | int | list[str]) -> Statement:
    """Make a statement of the library's own, with `$1`, `$2`, … for strings, integers, and lists of gids or names."""
    return Statement(sql.encode(), [_text(value) for value in values], tuple(map(_type, values)))


def once(sql: str) -> Statement:
    """Make a statement without values that does not come again."""
    return Statement(sql.encode(), lasting=False)


def literal(name: str) -> str:
    """Quote a string for SQL."""
    return "'" + name.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Quote the name of a table or schema for SQL."""
    return '"' + name.replace('"', '""') + '"'


def numbered(sql: str, parameters: Any) -> tuple[str, Sequence[Any]]:
    """Put `$1`, `$2`, … in place of `%s` or `%(name)s`, and the parameters in their order; `%%` is a percent sign.

    SQL without parameters is left as it is.

    Raises:
        InvalidType: the SQL is not a string, or the parameters are neither a sequence nor a mapping.
        InvalidValue: the parameters do not fit the SQL.
    """
    if not isinstance(sql, str):
        raise InvalidType(f"SQL is a string, not {sql!r}")
    if type(parameters) is not tuple and not _are_parameters(parameters):
        raise InvalidType(f"the parameters of SQL are a sequence or a mapping, not {parameters!r}")
    if not parameters:
        return sql, ()
    text, names = _numbered(sql)
    return text, _ordered(sql, names, parameters)


def _are_parameters(parameters: object) -> bool:
    return isinstance(parameters, Sequence | Mapping) and not isinstance(parameters, str | bytes)


@lru_cache(1024)
def _numbered(sql: str) -> tuple[str, tuple[str | None, ...]]:
    """Return the SQL with numbers, and the name of each parameter, None for `%s`."""
    names: list[str | None] = []

    def number(found: re.Match[str]) -> str:
        if found[1]:
            return "%"
        if not found[0].endswith("s"):
            raise InvalidValue(
                f"{sql!r} has {found[0]!r}; a parameter is %s or %(name)s, a percent sign is %%"
            )
        named = found[2]
        if named is None or named not in names:
            names.append(named)
            return f"${len(names)}"
        return f"${names.index(named) + 1}"

    return _PLACEHOLDER.sub(number, sql), tuple(names)


def _ordered(sql: str, names: tuple[str | None, ...], parameters: Any) -> Sequence[Any]:
    if isinstance(parameters, Mapping):
        if None in names or not set(names) <= set(parameters):
            raise InvalidValue(f"{sql!r} names other parameters than {', '.join(map(repr, parameters))}")
        return [parameters[name] for name in names]
    if any(names) or len(names) != len(parameters):
        raise InvalidValue(f"{sql!r} takes {len(names)} parameters, not these {len(parameters)}")
    return list(parameters)


def _text(value: str | int | list[str]) -> bytes:
    if isinstance(value, list):
        return ("{" + ",".join(value) + "}").encode()
    return str(value).encode()


def _type(value: str | int | list[str]) -> int:
    return _TEXTS if isinstance(value, list) else _INTEGER if isinstance(value, int) else _TEXT
