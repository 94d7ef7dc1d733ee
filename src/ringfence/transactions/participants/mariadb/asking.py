"""Requests that stand by themselves, each on a session borrowed for it: what every user of a database starts with."""

from __future__ import annotations

from typing import Any

from ringfence import _mysql
from ringfence._mysql.frames import Request, statement
from ringfence._mysql.session import Answer, Reply
from ringfence.errors import InvalidValue
from ringfence.protocol import Call, Effects
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants.mariadb import tables
from ringfence.transactions.participants.mariadb.failures import answered, known, no_answer

PATIENCE = 10.0
"""Seconds that an answer may take beyond those of waiting for other transactions: for the disk and the network."""


class Database:
    """A database, and the sessions that ask it for one thing at a time.

    Args:
        url: `mariadb://…` or `mysql://…`, with the name of a database.
        sessions: a pool of them.
        timeout: seconds that a request may wait for other transactions.

    Attributes:
        place: which database this is, for comparing.
        patience: seconds to wait for an answer.
    """

    def __init__(self, url: str, sessions: Any, timeout: float) -> None:
        parts = _mysql.parse(url)
        if "database" not in parts:
            raise InvalidValue(f"{url!r} names no database; write mariadb://user@host:port/database")
        self.place = tuple(parts.get(part) for part in ("unix_socket", "host", "port", "database"))
        self.patience = timeout + PATIENCE
        self._sessions = sessions
        self._name: str | None = None

    def __str__(self) -> str:
        socket, host, port, database = self.place
        return f"mariadb://{socket or host}{f':{port}' if port else ''}/{database}"

    def name(self) -> Effects[str]:
        """What the server calls the database, in which the tables of ringfence are from now on."""
        if self._name is None:
            named, found = yield from self.all(statement("SELECT DATABASE()"), statement(tables.FIND))
            missing = tables.TABLES.keys() - {row[0] for row in found.rows}
            for table in sorted(missing):
                yield from self.one(tables.TABLES[table])
            self._name = str(named.rows[0][0])
        return self._name

    def one(self, sql: str) -> Effects[Answer]:
        """Ask for one thing; it raises what `all` does."""
        [answer] = yield from self.all(statement(sql))
        return answer

    def all(self, *requests: Request) -> Effects[list[Answer]]:
        """Ask for several things together, in one round trip.

        Raises:
            BackendUnavailable: the server cannot be reached; nothing was sent.
            OutcomeUnknown: no answer came.
            StoreTimeout: another transaction stood in the way.
            StoreError: the server refused one of them; the others may have been done.
        """
        replies = yield from self.replies(*requests)
        return [answered(reply) for reply in replies]

    def reply(self, sql: str) -> Effects[Reply]:
        """What one request comes to: an answer, or the error with which the server refused it."""
        [reply] = yield from self.replies(statement(sql))
        return reply

    def replies(self, *requests: Request) -> Effects[list[Reply]]:
        """What each of several requests comes to.

        Raises:
            BackendUnavailable: the server cannot be reached; nothing was sent.
            OutcomeUnknown: not all were answered.
        """
        session = yield Call(self._sessions, "session")
        try:
            replies: list[Reply] = yield Call(session, "ask", (requests, self.patience))
            if session.closed:
                raise no_answer(replies[-1])
        finally:
            self._sessions.give(session)
        return replies


def decision(database: Database, gid: Gid) -> Effects[Outcome | None]:
    """The decision on `gid` that stands in the database, None if there is none."""
    found = yield from database.one(f"SELECT outcome FROM ringfence_decision WHERE gid = '{gid}'")
    return known(found.rows[0][0]) if found.rows else None
