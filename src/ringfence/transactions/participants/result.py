"""What a statement of a branch gives back."""

from __future__ import annotations

from typing import Any


class Result(list[tuple[Any, ...]]):
    """The rows of a statement, as a list of tuples.

    Attributes:
        rowcount: how many rows a statement changed, or in PostgreSQL found; -1 where the database does not say.
        lastrowid: the number of the last row inserted, where the database numbers rows and says so.
    """

    __slots__ = ("lastrowid", "rowcount")

    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int, lastrowid: int | None = None) -> None:
        super().__init__(rows)
        self.rowcount = rowcount
        self.lastrowid = lastrowid
