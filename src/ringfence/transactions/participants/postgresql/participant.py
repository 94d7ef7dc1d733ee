"""A PostgreSQL database as a participant, for threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ringfence._postgresql.line import Line
from ringfence._postgresql.pool import Pool
from ringfence.protocol import run
from ringfence.transactions.decisions.postgresql import PostgresDecisions
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants.postgresql.branch import PostgresBranch
from ringfence.transactions.participants.postgresql.phases import Phases
from ringfence.transactions.participants.postgresql.splitting import sent

_SENT_AHEAD = frozenset(
    {"prepare", "one_phase", "decide", "commit", "rollback", "recover", "resolve_many", "settled", "settle"}
)


class PostgresParticipant(Phases):
    """A `Participant` whose branches run SQL on a PostgreSQL database.

    The server needs `max_prepared_transactions` above 0. Small tables are made where the connection's `search_path`
    says: `ringfence_branch`, with a row of some 60 bytes for each branch that was committed, `ringfence_guard`, and
    those of the decision store. Isolation is the server's: put
    `?options=-c%20default_transaction_isolation%3Dserializable` into the URL for another one.

    Args:
        url: `postgresql://user:password@host:port/database`, with the options of libpq. Of the primary; no pooler
            that shares connections between statements.
        timeout: seconds to wait for a connection and for a lock that another transaction holds.

    Raises:
        BackendUnavailable: psycopg is not installed.
        InvalidValue: libpq does not understand the URL.
    """

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        super().__init__(url, timeout)
        self._pool = Pool(url, timeout, self._make_ready)

    def begin(self, gid: str) -> PostgresBranch:
        """Start the branch of `gid`; others run beside it.

        Raises:
            BackendUnavailable: the server cannot be reached, or prepares no transactions.
            StoreTimeout: all connections are in use.
        """
        branch: PostgresBranch = run(self._begin(gid))
        return branch

    def prepare(self, gid: str) -> Vote:
        """Compare the fences and prepare the transaction, in one round trip.

        Raises:
            FenceRejected: a fence is stale.
            Aborted: a statement failed, or PostgreSQL refuses.
            OutcomeUnknown: no answer came; `rollback` gives it up.
        """
        return run(self._prepare(gid))

    def commit(self, gid: str) -> None:
        """Commit the prepared transaction.

        Raises:
            HeuristicOutcome: somebody rolled it back by hand.
            StoreError: it could not be now; ask again.
        """
        run(self._commit(gid))

    def one_phase(self, gid: str) -> None:
        """Commit the open transaction, with a row that says so."""
        run(self._one_phase(gid))

    def decide(self, gid: str) -> Outcome:
        """Commit the open transaction together with the decision; see `Marker.decide`."""
        return run(self._decide(gid))

    def rollback(self, gid: str) -> None:
        """Give up the transaction, open or prepared.

        Raises:
            HeuristicOutcome: somebody committed it by hand.
            StoreError: it could not be now; ask again.
        """
        run(self._rollback(gid))

    def recover(self, prefix: str = "") -> list[str]:
        """The gids that begin with `prefix` of what ringfence prepared in this database."""
        return run(self._recover(prefix))

    def resolve_many(self, gids: Sequence[str], outcome: Outcome) -> list[Exception | None]:
        """Commit or roll back many prepared transactions, many in one round trip; what came in the way of each."""
        return run(self._resolve_many(gids, outcome))

    def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed here in one phase, or never can be."""
        return run(self._settled(gid))

    def settle(self, gid: str) -> Outcome:
        """Like `settled`; a branch that could still commit in one phase no longer can."""
        return run(self._settle(gid))

    def send(self, operation: str, *args: Any) -> Callable[[], Any] | None:
        """Send the request of an operation, and return what waits for its answer; None when it has none."""
        if operation not in _SENT_AHEAD:
            return None
        return sent(getattr(self, f"_{operation}")(*args))

    def decision_store(self) -> PostgresDecisions:
        """Open the decision store in the same database."""
        return PostgresDecisions(self.url, timeout=self._timeout)

    def close(self) -> None:
        """Roll back open branches and close the connections. Closing twice is harmless."""
        for branch in list(self._branches.values()):
            run(self._leave(branch))
        self._pool.close()

    def _branch(self, gid: str, line: Line) -> PostgresBranch:
        return PostgresBranch(gid, line, self._sql)
