"""Which SQL a branch takes: what would end the transaction, or escape it, is refused before it runs."""

from __future__ import annotations

import re
from functools import lru_cache

from ringfence.errors import InvalidType, InvalidValue

_SKIPPED = r"(?:[\s;\ufeff]|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*"
_FIRST = re.compile(_SKIPPED + r"(\w*)", re.DOTALL)
_KIND = r"(?:unique|virtual)?_(?:table|view|index|trigger)_(?:if_not_exists)?"
_TEMPORARY = re.compile(
    rf"_create_(?:temp|{_KIND}_[\"'`\[]?temp[\"'`\]]?_\.)".replace("_", _SKIPPED), re.DOTALL | re.IGNORECASE
)
_OUR_TABLES = re.compile(r"ringfence_(?:intent|settled|start)\b", re.IGNORECASE)

_READS = frozenset({"select", "values", ""})
_READS_OR_WRITES = frozenset({"with", "explain"})
_WRITES = re.compile(r"\b(?:insert|update|delete|replace)\b", re.IGNORECASE)
_ENDS = frozenset({"begin", "commit", "end", "rollback", "savepoint", "release"})
_ESCAPES = frozenset({"attach", "detach", "pragma", "vacuum"})


def is_read(sql: str) -> bool:
    """Does `sql` only read? One that changes no row may still count as writing: it sets what `changes()` says.

    Raises:
        InvalidType: it is not a string.
        InvalidValue: a branch cannot run it.
    """
    if not isinstance(sql, str):
        raise InvalidType(f"SQL is a string, not {sql!r}")
    return _is_read(sql)


@lru_cache(1024)
def _is_read(sql: str) -> bool:
    found = _FIRST.match(sql)
    first = found[1].lower() if found else ""
    if first in _ENDS:
        raise InvalidValue(f"{sql!r} would end or split the transaction; leave its `with` block instead")
    if first in _ESCAPES:
        raise InvalidValue(f"{sql!r} cannot be part of a transaction; run it on a connection of your own")
    if _TEMPORARY.match(sql):
        raise InvalidValue(f"{sql!r} makes something that no other connection sees; use an ordinary table")
    if _OUR_TABLES.search(sql):
        raise InvalidValue(f"{sql!r} touches the tables in which prepared work is kept")
    return first in _READS or (first in _READS_OR_WRITES and not _WRITES.search(sql))
