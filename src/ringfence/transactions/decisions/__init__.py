"""Decision stores: one row a transaction, put if absent, keyed by gid. The only arbiter of commit and abort.

The coordinator puts "committed" before it tells anyone; recovery must win an "aborted" before it rolls anything
back. Whoever comes second follows the first. The row makes a slow, paused or zombie coordinator harmless; nothing
else here depends on time. (Gray and Lamport, "Consensus on Transaction Commit", 2004, with the store as the one
acceptor.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from ringfence import _mysql, _postgresql
from ringfence._url import KNOWN, file_path, split, sqlite_path
from ringfence.errors import InvalidValue
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant


class Heuristic(NamedTuple):
    """A branch that did not end as was decided, as recorded in a decision store until somebody forgets it.

    Attributes:
        gid: the transaction.
        branch: the participant's name.
        found: what became of the branch.
    """

    gid: str
    branch: str
    found: str

    def __str__(self) -> str:
        return f"{self.gid} on {self.branch}: {self.found}"


class DecisionStore(Protocol):
    """What a coordinator and its recovery ask of a decision store. Every operation may be asked twice."""

    def begin_epoch(self, name: str) -> int:
        """Start the coordinator `name` once more: add one to its epoch, durably, and return it.

        Asked twice it gives two epochs, and only the newer one can decide.
        """

    def epoch(self, name: str) -> int:
        """The newest epoch of the coordinator `name`, 0 if it never started."""

    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        """Record `outcome` durably unless one stands already; return the one that stands.

        "Committed" from a coordinator whose epoch is not its name's newest is recorded as "aborted".

        Raises:
            OutcomeUnknown: the row may or may not be there; ask again. After a failing disk it says so, and the
                store takes no more decisions in this process.
            StoreError: nothing was recorded.
        """

    def put_many(self, rows: Sequence[tuple[str, Outcome]]) -> list[Outcome]:
        """`put_if_absent` for each of `rows`, in one durable step where the store can; what stands, in their order.

        Raises:
            OutcomeUnknown: any of the rows may or may not be there; ask again.
            StoreError: nothing was recorded.
        """

    def get(self, gid: str) -> Outcome | None:
        """The outcome that stands, or None if none was recorded."""

    def decisions(self, prefix: str = "") -> Iterator[tuple[str, Outcome]]:
        """All decisions on gids that begin with `prefix`, each with its gid; in order of gid, as text sorts."""

    def carried_by(self, participant: Participant) -> bool:
        """Is this store a table in that participant's database, so that its `decide` puts rows here?"""

    def report(self, gid: str, branch: str, found: str) -> None:
        """Record durably that a branch did not end as was decided; once for each branch."""

    def heuristics(self) -> list[Heuristic]:
        """What was reported and not forgotten yet, in order of gid and branch, as text sorts."""

    def forget(self, gid: str) -> bool:
        """Drop what was reported of `gid`, when somebody has dealt with it; was there anything?"""

    def close(self) -> None:
        """Give up connections. Closing twice is harmless."""


def recorded(gid: str, outcome: Outcome, newest: int) -> Outcome:
    """What a store records when asked for `outcome`: a stale coordinator can no longer commit."""
    stale = outcome is Outcome.COMMITTED and Gid.parse(gid).epoch != newest
    return Outcome.ABORTED if stale else outcome


def check_outcome(outcome: Outcome) -> Outcome:
    """Return `outcome` if it is a decision.

    Raises:
        InvalidValue: it is not.
    """
    if outcome not in (Outcome.COMMITTED, Outcome.ABORTED):
        raise InvalidValue(f"{outcome!r} is no decision; it is 'committed' or 'aborted'")
    return Outcome(outcome)


def not_carried(participant: str) -> InvalidValue:
    """What to say when a participant that carries no decisions is asked for them."""
    return InvalidValue(f"{participant} carries no decisions; name a decision store of its own")


def from_url(url: str, timeout: float) -> DecisionStore:
    """Open the store of a URL: `file:///folder`, `sqlite:///path`, `postgresql://…`, `mariadb://…` or `memory://name`.

    Raises:
        InvalidValue: no store is known for the URL.
        BackendUnavailable: its driver is not installed.
    """
    scheme, rest = split(url, (*KNOWN, "file", *_postgresql.SCHEMES, *_mysql.SCHEMES))
    if scheme in _postgresql.SCHEMES:
        from ringfence.transactions.decisions.postgresql import PostgresDecisions

        return PostgresDecisions(url, timeout=timeout)
    if scheme in _mysql.SCHEMES:
        from ringfence.transactions.decisions.mariadb import MariaDecisions

        return MariaDecisions(url, timeout=timeout)
    if scheme == "memory":
        from ringfence.transactions.decisions import memory

        return memory.shared(rest)
    if scheme == "file":
        from ringfence.transactions.decisions.file import FileDecisions

        return FileDecisions(file_path(url))
    from ringfence.transactions.decisions.sqlite import SqliteDecisions

    return SqliteDecisions(sqlite_path(url), timeout=timeout)


def aio_from_url(url: str, timeout: float) -> Any:
    """Like `from_url`, with methods that are coroutines where there is a driver for asyncio."""
    return from_url(url, timeout)
