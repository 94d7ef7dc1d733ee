"""What is noted of the statements that an application runs on its own connection, one way for all bindings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from ringfence.errors import InvalidValue

_SKIPPED = r"(?:[\s;(\ufeff]|--[^\n]*(?:\n|\Z)|#[^\n]*(?:\n|\Z)|/\*(?!M?!).*?(?:\*/|\Z))*"
_WORD = re.compile(rf"{_SKIPPED}(\w*)", re.DOTALL)
_COMMENT = re.compile(
    r"""('[^']*'|"[^"]*"|`[^`]*`)|/\*M?!\d*|/\*.*?(?:\*/|\Z)|(?:--|\#)[^\n]*""", re.DOTALL | re.VERBOSE
)
_SAVEPOINT = re.compile(
    r"[\s;]*(savepoint|release(?:\s+savepoint)?|rollback(?:\s+(?:work|transaction))?\s+to(?:\s+savepoint)?)"
    r"\s+(\"[^\"]+\"|`[^`]+`|[^\s;\"`]+)[\s;]*\Z",
    re.IGNORECASE,
)
_ENDS = frozenset({"begin", "start", "commit", "end", "rollback", "abort", "xa"})
_PREPARE = re.compile(r"prepare\s+transaction\b", re.IGNORECASE)
_CHANGES = frozenset({"insert", "update", "delete", "merge", "replace"})
_READS = frozenset({"select", "show", "values", "table", "describe", "desc"})
_CALLS = re.compile(r"([^\s(),+*/%<>=|&^~!;-]+)\s*\(")
_PURE = re.compile(
    "and|as|avg|between|by|case|cast|coalesce|concat|count|distinct|else|exists|from|group|having|if|in|join|length|"
    "limit|lower|max|min|not|nullif|on|or|over|round|select|sum|then|upper|using|union|values|when|where",
    re.IGNORECASE,
)
_LOCKS = re.compile(r"\b(?:for\s+(?:update|share|no|key)|lock\s+in|into)\b", re.IGNORECASE)
_SEVERAL = re.compile(r";\s*[^\s;]|--|#|/\*M?!")
"""More than one statement, or what some servers read as a comment and others do not."""


class Notes:
    """Takes note of statements for a branch: one that failed makes it vote against.

    What failed behind a savepoint that was rolled back to has not happened.

    Args:
        branch: its `failed`, `writes` and `may_write` are set.
    """

    def __init__(self, branch: Any) -> None:
        self.branch = branch
        self._process = os.getpid()
        self._savepoints: list[str] = []
        self._failed_at = 0

    def run(self, sql: str) -> None:
        """Take note of a statement before it runs.

        Raises:
            InvalidValue: it would begin or end a transaction, or the transaction is over, or is another process's.
        """
        if self._process != os.getpid():
            raise InvalidValue(
                f"transaction {self.branch.gid} is of the process that forked this one; start a new one"
            )
        if self.branch.over:
            raise InvalidValue(f"transaction {self.branch.gid} is over; start a new one")
        if not self._is_savepoint(sql):
            if ends(sql):
                raise InvalidValue(
                    f"{sql!r} would end transaction {self.branch.gid}; leave its block instead"
                )
            self.branch.writes = self.branch.writes or changes(sql)
            self.branch.may_write = self.branch.may_write or not only_reads(sql)

    @contextmanager
    def of(self, sql: str) -> Iterator[None]:
        """Take note of a statement, which runs in the `with` block, and of its failure."""
        self.run(sql)
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise

    def fail(self, error: BaseException) -> None:
        """Take note that a statement failed."""
        if self.branch.failed is None:
            self.branch.failed = error
            self._failed_at = len(self._savepoints)

    def _is_savepoint(self, sql: str) -> bool:
        found = _SAVEPOINT.match(_bare(sql))
        if found is None:
            return False
        verb, name = found[1].lower(), found[2].strip('"`').lower()
        if verb == "savepoint":
            self._savepoints.append(name)
        elif name in self._savepoints:
            self._back_to(name, kept=verb.startswith("rollback"))
        return True

    def _back_to(self, name: str, kept: bool) -> None:
        """Forget the savepoints behind `name`; with it what failed there, if all that is undone."""
        depth = len(self._savepoints) - self._savepoints[::-1].index(name)
        del self._savepoints[depth if kept else depth - 1 :]
        if kept and self._failed_at >= depth:
            self.branch.failed = None
        self._failed_at = min(self._failed_at, len(self._savepoints))


@lru_cache(1024)
def ends(sql: str) -> bool:
    """Would a statement begin or end a transaction? Also one of several; what stands in a string is looked at too."""
    return any(
        _PREPARE.search(text) or any(_first(part) in _ENDS for part in text.split(";"))
        for text in (sql, _bare(sql))
    )


@lru_cache(1024)
def changes(sql: str) -> bool:
    """Does a statement surely try to change something?"""
    return _first(sql) in _CHANGES


@lru_cache(1024)
def only_reads(sql: str) -> bool:
    """Does a statement surely change nothing? One that locks rows, or calls what could be a stored function, may."""
    return _SEVERAL.search(sql) is None and all(_only_reads(text) for text in (sql, _bare(sql)))


def _only_reads(sql: str) -> bool:
    return _first(sql) in _READS and all(map(_PURE.fullmatch, _CALLS.findall(sql))) and not _LOCKS.search(sql)


def _bare(sql: str) -> str:
    """The statement without its comments; as servers differ in where a string ends, look at the whole one too."""
    return _COMMENT.sub(lambda found: found[1] or " ", sql)


def _first(sql: str) -> str:
    found = _WORD.match(sql)
    return found[1].lower() if found else ""
