"""The branch of a transaction on an SQLite file: SQL run for real, and recorded to be run again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ringfence._sqlite import Connection, translating
from ringfence.errors import Aborted
from ringfence.transactions.gid import Gid
from ringfence.transactions.participants.result import Result
from ringfence.transactions.participants.sqlite import redo
from ringfence.transactions.participants.sqlite.deterministic import Answers
from ringfence.transactions.participants.sqlite.statements import is_read


class SqliteBranch:
    """A transaction's work on one SQLite file; for one thread at a time.

    It sees its own changes, nobody else does. A statement that fails fails the transaction, even when its error is
    caught: every later statement is refused, and the branch votes against committing.

    Attributes:
        gid: the transaction.
        wrote: it ran something that can change the file.
        over: it has ended, or is being ended.
        fences: by resource, those to be compared with the marks when it ends.
    """

    def __init__(self, gid: Gid, connection: Connection) -> None:
        self.gid = gid
        self.wrote = False
        self.process = os.getpid()
        self.connection = connection
        self.redo: list[redo.Statement] = []
        self.failed: BaseException | None = None
        self.over = False
        self.fences: dict[str, int] = {}
        self._answers: Answers = connection.companion

    def execute(self, sql: str, parameters: redo.Parameters = ()) -> Result:
        """Run one statement, as `sqlite3` does, and return all its rows.

        Raises:
            sqlite3.Error: the statement is wrong, or breaks a constraint.
            InvalidValue: it would end the transaction (COMMIT …) or escape it (PRAGMA, ATTACH …).
            InvalidType: a parameter is not str, int, float, bytes or None.
            Aborted: an earlier statement failed.
            StoreError: the file cannot be read or written.
        """
        return self._run(sql, parameters, many=False)

    def executemany(self, sql: str, rows: Iterable[redo.Parameters]) -> Result:
        """Run one INSERT, UPDATE or DELETE for each of `rows`.

        Raises:
            Exception: as `execute` does.
        """
        return self._run(sql, rows, many=True)

    def refuse_failed(self) -> None:
        """Vote against a branch in which a statement failed.

        Raises:
            Aborted: one did, whether or not the application caught the error.
        """
        if self.failed is not None:
            raise Aborted(str(self.gid), f"a statement failed: {self.failed}") from self.failed

    def _run(self, sql: str, parameters: Any, *, many: bool) -> Result:
        self.refuse_failed()
        try:
            with translating(self.connection.path):
                return self._record(sql, parameters, many)
        except BaseException as error:
            self.failed = error
            raise

    def _record(self, sql: str, parameters: Any, many: bool) -> Result:
        reads = is_read(sql)
        frozen = [redo.freeze(row) for row in parameters] if many else redo.freeze(parameters)
        connection = self._connected()
        answers = self._answers.record()
        before = connection.total_changes
        cursor = connection.executemany(sql, frozen) if many else connection.execute(sql, frozen)
        rows = cursor.fetchall() if cursor.description else []
        changed = connection.total_changes - before
        if changed or not reads:
            self.wrote = True
            self.redo.append(redo.Statement(sql, frozen, many, changed, answers))
        return Result(rows, cursor.rowcount, cursor.lastrowid)

    def _connected(self) -> Connection:
        if self.process != os.getpid():
            raise Aborted(str(self.gid), "its process was forked; only the parent can go on with it")
        if self.over or not self.connection.in_transaction:  # it may be in another branch's
            raise Aborted(str(self.gid), "it is over, or SQLite rolled it back")
        return self.connection
