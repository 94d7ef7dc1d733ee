"""A database of MariaDB as a participant, for threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ringfence.errors import RingfenceError
from ringfence.protocol import run
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants.mariadb.ahead import send_ahead
from ringfence.transactions.participants.mariadb.base import BaseParticipant
from ringfence.transactions.participants.mariadb.branch import MariaBranch
from ringfence.transactions.participants.mariadb.pool import Pool


class MariaParticipant(BaseParticipant[MariaBranch]):
    """A `Participant` whose branches run SQL in one database of MariaDB (10.5 or newer), by XA. Needs PyMySQL.

    Tables of the branches are to be in InnoDB, and `innodb_flush_log_at_trx_commit` to be 1, as it is by default: what
    is prepared must outlast a power failure. MySQL 8 speaks the same SQL, but is not tested.

    Args:
        url: `mariadb://user:password@host:port/database`, or `mysql://…`.
        timeout: seconds, in whole ones, that a statement waits for other transactions.

    Raises:
        BackendUnavailable: PyMySQL is not installed.
        InvalidValue: it is no URL of MariaDB, or names no database.
    """

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        super().__init__(url, timeout, Pool, MariaBranch)

    def begin(self, gid: str) -> MariaBranch:
        """Start the branch of `gid`; nothing is sent before its first statement."""
        return self.begin_branch(gid)

    def prepare(self, gid: str) -> Vote:
        """Make the branch's work durable without showing it, and promise that it can be committed."""
        return run(self.preparing(gid))

    def commit(self, gid: str) -> None:
        """Show the prepared work; also that of another process, even where a dead one's session still holds it."""
        run(self.committing(gid))

    def rollback(self, gid: str) -> None:
        """Give up the branch, prepared or not; also that of another process."""
        run(self.rolling_back(gid))

    def one_phase(self, gid: str) -> None:
        """Commit a branch that was not prepared, durably, and remember that `gid` was committed here."""
        run(self.committing_at_once(gid))

    def decide(self, gid: str) -> Outcome:
        """Commit a branch that was not prepared, with the decision row of its transaction."""
        return run(self.deciding(gid))

    def recover(self, prefix: str = "") -> list[str]:
        """The gids of the prepared branches in this database that begin with `prefix`."""
        return run(self.recovering(prefix))

    def resolve_many(self, gids: Sequence[str], outcome: Outcome) -> list[RingfenceError | None]:
        """End many prepared branches; for each None, or why it could not be ended."""
        return run(self.resolving_many(gids, outcome))

    def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed here in one phase, or never can be."""
        return run(self.asking_settled(gid))

    def settle(self, gid: str) -> Outcome:
        """Like `settled`; a branch that could still commit in one phase no longer can."""
        return run(self.settling(gid))

    def send(self, operation: str, *args: Any) -> Callable[[], Any] | None:
        """Send the request of an operation without waiting; the callable returns what it comes to."""
        steps = {
            "prepare": self.preparing,
            "commit": self.committing,
            "rollback": self.rolling_back,
            "one_phase": self.committing_at_once,
            "decide": self.deciding,
        }.get(operation)
        return None if steps is None else send_ahead(steps(*args))

    def close(self) -> None:
        """Give up branches that were not prepared, and all connections. Closing twice is harmless."""
        self.close_all()
