"""Which SQL a branch takes: what would end the transaction, or escape it, is refused before it runs."""

from __future__ import annotations

import re
from functools import lru_cache

from ringfence.errors import InvalidType, InvalidValue

_BLANK = re.compile(r"(?:\s|;|\ufeff|--[^\n]*)+")
_COMMENT = re.compile(r"/\*|\*/")
_WORD = re.compile(r"\w*")

_READS = frozenset(
    {"select", "values", "table", "with", "show", "explain", "fetch", "declare", "close", "move", ""}
)
_ENDS = frozenset({"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"})
_ESCAPES = frozenset(
    {"prepare", "execute", "deallocate", "discard", "reset", "listen", "unlisten", "notify", "load"}
)
_COPIES = frozenset({"copy"})
_SET_FOR_ONE = re.compile(r"set\s+(?:local|transaction|constraints)\b", re.IGNORECASE)


def may_only_read(sql: str) -> bool:
    """Can it be that `sql` only reads? The server knows better: a function that is called may write.

    Raises:
        InvalidType: it is not a string.
        InvalidValue: a branch cannot run it.
    """
    if not isinstance(sql, str):
        raise InvalidType(f"SQL is a string, not {sql!r}")
    return _may_only_read(sql)


@lru_cache(1024)
def _may_only_read(sql: str) -> bool:
    rest = _without_comments(sql)
    first = (_WORD.match(rest) or [""])[0].lower()
    if first in _ENDS:
        raise InvalidValue(f"{sql!r} would end or split the transaction; leave its `with` block instead")
    if first in _COPIES:
        raise InvalidValue(f"{sql!r} cannot be part of a branch; insert the rows with executemany")
    if first in _ESCAPES or (first == "set" and not _SET_FOR_ONE.match(rest)):
        raise InvalidValue(f"{sql!r} would outlast the transaction; run it on a connection of your own")
    return first in _READS


def _without_comments(sql: str) -> str:
    """Return `sql` from its first word on; comments of PostgreSQL may hold comments."""
    at = 0
    while True:
        blank = _BLANK.match(sql, at)
        at = blank.end() if blank else at
        if not sql.startswith("/*", at):
            return sql[at:]
        at = _behind_comment(sql, at)


def _behind_comment(sql: str, at: int) -> int:
    depth = 0
    for mark in _COMMENT.finditer(sql, at):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(sql)
