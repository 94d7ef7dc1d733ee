"""Decisions in a PostgreSQL database, shared by the processes of many machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ringfence import _postgresql
from ringfence._postgresql.line import BaseLine, Steps, failure
from ringfence._postgresql.pool import Pool
from ringfence._postgresql.session import find_tables, refuse_failed, settings
from ringfence._postgresql.statement import Statement
from ringfence.errors import StoreDamaged, StoreError, StoreTimeout
from ringfence.transactions.decisions import Heuristic, check_outcome
from ringfence.transactions.decisions.postgresql.statements import TABLES, DecisionSql
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant

BUSY = ("40001", "40P01", "55P03", "57014", "53100", "53200", "53300")
"""Serialization failure, deadlock, lock timeout, cancelled; disk full, out of memory, too many connections."""


class PostgresDecisions:
    """A `DecisionStore` in a PostgreSQL database; one row a two-phase transaction, kept for ever.

    Its tables are made when they are first used, where the connection's `search_path` says. The database's owner may
    make them beforehand; the user then needs to read, insert, update and delete there.

    Args:
        url: `postgresql://user:password@host:port/database`, with the options of libpq. The primary, and one that does
            not lose commits when it fails over; no pooler that shares connections between statements.
        timeout: seconds to wait for a connection, for others' transactions and for each answer.

    Raises:
        BackendUnavailable: psycopg is not installed.
        InvalidValue: libpq does not understand the URL.
    """

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        _postgresql.parse(url)
        self.url = url
        self._timeout = timeout
        self._pool = Pool(url, timeout, self._prepare, most=8)

    def begin_epoch(self, name: str) -> int:
        """Add one to the epoch of `name`, durably, and return it."""
        check_name(name)
        return int(self._ask(lambda sql: sql.begin_epoch(name))[0][0])

    def epoch(self, name: str) -> int:
        """The newest epoch of `name`, 0 if it never started."""
        rows = self._ask(lambda sql: sql.read_epoch(name))
        return int(rows[0][0]) if rows else 0

    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        """Record `outcome` durably unless one stands; return the one that stands.

        Raises:
            OutcomeUnknown: no answer came; the row may or may not be there.
            StoreTimeout: another transaction is about to put it, and did not end in time; nothing was recorded.
            StoreError: nothing was recorded.
        """
        check_outcome(outcome)
        parsed = Gid.parse(gid)
        return known(self._ask(lambda sql: sql.put(parsed, Outcome(outcome)))[0][0])

    def put_many(self, rows: Sequence[tuple[str, Outcome]]) -> list[Outcome]:
        """`put_if_absent` for each of `rows`, in one statement; what stands, in their order."""
        wanted: dict[str, Outcome] = {}
        for gid, outcome in rows:
            wanted.setdefault(str(Gid.parse(gid)), check_outcome(outcome))
        standing = dict(self._ask(lambda sql: sql.put_many(wanted))) if wanted else {}
        return [known(standing[gid]) for gid, _ in rows]

    def get(self, gid: str) -> Outcome | None:
        """The outcome that stands, or None."""
        rows = self._ask(lambda sql: sql.read(gid))
        return known(rows[0][0]) if rows else None

    def decisions(self, prefix: str = "") -> Iterator[tuple[str, Outcome]]:
        """All decisions on gids that begin with `prefix`, in order of gid as text sorts."""
        rows: list[Any] = [("", "")]
        while rows:
            after = rows[-1][0]
            rows = self._ask(lambda sql: sql.page(prefix, after))  # noqa: B023  (called at once)
            yield from ((gid, known(outcome)) for gid, outcome in rows)

    def carried_by(self, participant: Participant) -> bool:
        """Is that a participant in the same database, as the same user?"""
        url = getattr(participant, "url", None)
        return isinstance(url, str) and place(url) == place(self.url)

    def report(self, gid: str, branch: str, found: str) -> None:
        """Record durably that a branch did not end as was decided."""
        self._ask(lambda sql: sql.report(gid, branch, found))

    def heuristics(self) -> list[Heuristic]:
        """What was reported and not forgotten yet."""
        return [Heuristic(*row) for row in self._ask(DecisionSql.heuristics)]

    def forget(self, gid: str) -> bool:
        """Drop what was reported of `gid`; was there anything?"""
        return bool(self._ask(lambda sql: sql.forget(gid)))

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _ask(self, make: Callable[[DecisionSql], Statement]) -> list[Any]:
        """Carry out one statement, and return its rows; one that was in conflict with another is not tried again."""
        line = self._pool.take()
        try:
            [result] = line.ask([make(self._sql)], self._timeout * 2)
            refuse(failure([result]))
            return line.rows(result)
        finally:
            self._pool.give(line)

    def _prepare(self, line: BaseLine) -> Steps[None]:
        """Make a new connection ready; ON CONFLICT sees rows that are newer than the transaction at this level only."""
        refuse_failed((yield [settings(self._timeout, {"default_transaction_isolation": "read committed"})]))
        self._sql = DecisionSql.over((yield from find_tables(line, TABLES)))


def place(url: str) -> object:
    """What a URL says about where its tables are; equal for the same place, though not always."""
    told = _postgresql.parse(url)
    return tuple(
        told.get(key) for key in ("host", "hostaddr", "port", "dbname", "user", "options", "service")
    )


def refuse(error: Any) -> None:
    """Refuse an answer that is an error.

    Raises:
        StoreTimeout: another transaction stood in the way; nothing happened.
        StoreError: nothing happened.
    """
    if error is None:
        return
    if error.sqlstate in BUSY:
        raise StoreTimeout(
            f"another transaction stood in the way ({error}); nothing was changed, try again"
        ) from error
    raise StoreError(f"PostgreSQL refused ({error}); nothing was changed") from error


def known(outcome: str) -> Outcome:
    """The outcome that a row says.

    Raises:
        StoreDamaged: it says none.
    """
    try:
        return Outcome(outcome)
    except ValueError as error:
        raise StoreDamaged(f"a decision {outcome!r} is none; restore the database from a copy") from error
