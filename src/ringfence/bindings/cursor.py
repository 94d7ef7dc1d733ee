"""A DB-API cursor in a branch: what it runs is noted."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from ringfence.bindings.notes import Notes
from ringfence.errors import InvalidValue


class Cursor:
    """A cursor of the application's driver, with all that it offers.

    A statement that fails makes the branch vote against, even when its error is caught, unless it is undone by
    `ROLLBACK TO SAVEPOINT`. Statements that would end the transaction are refused.
    """

    def __init__(self, cursor: Any, notes: Notes) -> None:
        self._cursor = cursor
        self._notes = notes

    def execute(self, operation: Any, *arguments: Any, **options: Any) -> Any:
        """Run one statement, as the driver does."""
        return self._run(self._cursor.execute, operation, *arguments, **options)

    def executemany(self, operation: Any, *arguments: Any, **options: Any) -> Any:
        """Run one statement for many rows, as the driver does."""
        return self._run(self._cursor.executemany, operation, *arguments, **options)

    def callproc(self, procedure: str, *arguments: Any, **options: Any) -> Any:
        """Call a procedure, as the driver does."""
        with self._notes.of(f"CALL {procedure}"):
            return self._cursor.callproc(procedure, *arguments, **options)

    def executescript(self, _: str) -> Any:
        """Refuse to run a script of sqlite3, which commits first.

        Raises:
            InvalidValue: always.
        """
        raise InvalidValue(
            "executescript() would commit the transaction first; execute its statements one by one"
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cursor.close()

    def _run(self, function: Any, operation: Any, *arguments: Any, **options: Any) -> Any:
        with self._notes.of(self._text(operation)):
            answer = function(operation, *arguments, **options)
        return self if answer is self._cursor else answer

    def _text(self, operation: Any) -> str:
        if isinstance(operation, bytes):
            return operation.decode("utf-8", "replace")
        as_string = getattr(operation, "as_string", None)  # psycopg.sql
        return str(as_string(self._cursor) if as_string else operation)
