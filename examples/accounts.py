"""A service that keeps accounts and takes part in transactions over HTTP: what the far side of `HttpParticipant` does.

    python examples/accounts.py accounts.db 8080

The work of a branch is a list of `{"account": name, "cents": amount}`, each added to an account, which never falls
below zero. A question is the name of an account, and its answer what is in it.

The rules, at the places marked by their numbers:

1. "yes" is a promise: the work can be done whatever happens, and nobody else touches what it needs.
2. An answer is given after what it says has reached the disk.
3. Whatever is asked may be asked twice, and late. What stands decides, not what was answered.
4. What was rolled back is remembered: a prepare that comes after it is refused.
5. What was committed in one phase is remembered; what was refused, rolled back or settled as aborted never commits so.
6. A fence is compared, and the mark raised, in the same step as the work.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

TABLES = """
CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents >= 0));
CREATE TABLE IF NOT EXISTS staged (gid TEXT PRIMARY KEY, work TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS held (account TEXT PRIMARY KEY, gid TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ended (gid TEXT PRIMARY KEY, outcome TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settled (gid TEXT PRIMARY KEY, outcome TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mark (resource TEXT PRIMARY KEY, fence INTEGER NOT NULL);
"""

Json = Any


class Refused(Exception):
    """The answer is no, with status 409, and nothing was changed."""

    def __init__(self, reason: str, **more: Json) -> None:
        super().__init__(reason)
        self.answer = {"reason": reason, **more}


class Accounts:
    """The operations, each one transaction on the file.

    Args:
        path: of an SQLite file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with self._transaction() as rows:
            for table in TABLES.split(";\n"):
                rows(table)

    def prepare(self, gid: str, work: Json, fences: dict[str, int]) -> Json:
        """Promise that the work can be done (rule 1)."""
        with self._transaction() as rows:
            if rows("SELECT 1 FROM staged WHERE gid = ?", gid):
                return {"vote": "yes"}  # rule 3
            for (outcome,) in rows("SELECT outcome FROM ended WHERE gid = ?", gid):
                raise Refused(f"it was {outcome} before")  # rule 4
            compare(rows, fences)
            if not work:
                return {"vote": "read only"}
            rows("SAVEPOINT trial")
            do(rows, work)
            rows("ROLLBACK TO trial")  # it can be done; nobody is to see it yet
            rows("INSERT INTO staged VALUES (?, ?)", gid, json.dumps(work))
            for account in {step["account"] for step in work}:
                rows("INSERT INTO held VALUES (?, ?)", account, gid)
            return {"vote": "yes"}

    def commit(self, gid: str) -> Json:
        """Do what was promised."""
        with self._transaction() as rows:
            if ("aborted",) in rows("SELECT outcome FROM ended WHERE gid = ?", gid):
                raise Refused("it was rolled back")
            for (work,) in rows("SELECT work FROM staged WHERE gid = ?", gid):
                release(rows, gid, "committed")
                do(rows, json.loads(work))
            return {}

    def rollback(self, gid: str) -> Json:
        """Forget what was promised, but not that it was (rule 4)."""
        with self._transaction() as rows:
            if ("committed",) in rows("SELECT outcome FROM ended WHERE gid = ?", gid):
                raise Refused("it was committed")
            release(rows, gid, "aborted")
            rows("INSERT OR IGNORE INTO settled VALUES (?, 'aborted')", gid)  # rule 5
            return {}

    def one_phase(self, gid: str, work: Json, fences: dict[str, int]) -> Json:
        """Do the work at once, and remember it, or that it was refused (rule 5)."""
        try:
            return self._at_once(gid, work, fences)
        except Refused:
            self.settle(gid)
            raise

    def settle(self, gid: str) -> Json:
        """Say what became of a commit in one phase; one that did not happen by now never will (rule 5)."""
        with self._transaction() as rows:
            rows("INSERT OR IGNORE INTO settled VALUES (?, 'aborted')", gid)
            return {"outcome": rows("SELECT outcome FROM settled WHERE gid = ?", gid)[0][0]}

    def settled(self, gid: str) -> Json:
        """Say it, and leave it open what is open."""
        with self._transaction() as rows:
            found = rows("SELECT outcome FROM settled WHERE gid = ?", gid)
            return {"outcome": found[0][0] if found else None}

    def prepared(self, prefix: str) -> Json:
        """List the promises that nobody has called in yet."""
        with self._transaction() as rows:
            found = rows("SELECT gid FROM staged WHERE substr(gid, 1, ?) = ?", len(prefix), prefix)
            return {"gids": [gid for (gid,) in found]}

    def ask(self, gid: str, work: Json, question: Json) -> Json:  # noqa: ARG002 -- every branch names itself
        """Say what is in an account, as if the work had been done."""
        with self._transaction() as rows:
            rows("SAVEPOINT trial")
            do(rows, work)
            found = rows("SELECT cents FROM account WHERE name = ?", question)
            rows("ROLLBACK TO trial")
            return {"answer": found[0][0] if found else None}

    def _at_once(self, gid: str, work: Json, fences: dict[str, int]) -> Json:
        with self._transaction() as rows:
            for (outcome,) in rows("SELECT outcome FROM settled WHERE gid = ?", gid):
                if outcome == "committed":
                    return {}
                raise Refused("it was settled as aborted before")
            compare(rows, fences)
            do(rows, work)
            rows("INSERT INTO settled VALUES (?, 'committed')", gid)
            return {}

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., list[Any]]]:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        try:
            connection.execute(
                "PRAGMA synchronous = EXTRA"
            )  # after FULL a power failure can bring the journal back
            connection.execute("BEGIN IMMEDIATE")
            yield lambda sql, *values: connection.execute(sql, values).fetchall()
            connection.execute("COMMIT")  # rule 2
        finally:
            connection.close()  # what was not committed is rolled back


def compare(rows: Callable[..., list[Any]], fences: dict[str, int]) -> None:
    """Refuse a fence below the mark; raise the mark to it (rule 6)."""
    for resource, fence in fences.items():
        for (mark,) in rows("SELECT fence FROM mark WHERE resource = ?", resource):
            if mark > fence:
                raise Refused("its fence is stale", resource=resource, mark=mark)
        rows("INSERT OR REPLACE INTO mark VALUES (?, ?)", resource, fence)


def do(rows: Callable[..., list[Any]], work: Json) -> None:
    """Add to accounts that nobody else's promise needs."""
    for step in work:
        for (gid,) in rows("SELECT gid FROM held WHERE account = ?", step["account"]):
            raise Refused(f"account {step['account']!r} is needed for {gid}", retryable=True)
        rows("INSERT OR IGNORE INTO account VALUES (?, 0)", step["account"])
        try:
            rows("UPDATE account SET cents = cents + ? WHERE name = ?", step["cents"], step["account"])
        except sqlite3.IntegrityError:
            raise Refused(f"account {step['account']!r} has too little in it") from None


def release(rows: Callable[..., list[Any]], gid: str, outcome: str) -> None:
    """Call a promise in, or take it back; and remember how it ended."""
    rows("DELETE FROM staged WHERE gid = ?", gid)
    rows("DELETE FROM held WHERE gid = ?", gid)
    rows("INSERT OR IGNORE INTO ended VALUES (?, ?)", gid, outcome)


class Handler(BaseHTTPRequestHandler):
    """Answers a POST of `/<operation>` with what the operation of that name returns."""

    protocol_version = "HTTP/1.1"
    accounts: ClassVar[Accounts]

    def do_POST(self) -> None:
        """Answer one request."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, answer = 200, self.operation()(**asked)
        except Refused as refusal:
            status, answer = 409, refusal.answer
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def operation(self) -> Callable[..., Json]:
        """Return what the path names."""
        name = self.path.strip("/").replace("-", "_")
        if name.startswith("_") or not hasattr(self.accounts, name):
            raise Refused(f"there is no operation {self.path!r}")
        found: Callable[..., Json] = getattr(self.accounts, name)
        return found

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve(path: str, port: int) -> ThreadingHTTPServer:
    """Return a server of the accounts in an SQLite file; it serves when it is told to."""

    class Own(Handler):
        accounts = Accounts(path)

    return ThreadingHTTPServer(("127.0.0.1", port), Own)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2])).serve_forever()
