"""Decision stores: one row a transaction, put if absent, keyed by gid. The only arbiter of commit and abort.

The coordinator puts "committed" before it tells anyone; recovery must win an "aborted" before it rolls anything
back. Whoever comes second follows the first. The row makes a slow, paused or zombie coordinator harmless; nothing
else here depends on time. (Gray and Lamport, "Consensus on Transaction Commit", 2004, with the store as the one
acceptor.)
"""

from __future__ import annotations

from typing import Protocol

from ringfence._url import KNOWN, file_path, split, sqlite_path
from ringfence.errors import InvalidValue
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome


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

    def get(self, gid: str) -> Outcome | None:
        """The outcome that stands, or None if none was recorded."""

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


def from_url(url: str, timeout: float) -> DecisionStore:
    """Open the decision store that `url` names: `sqlite:///path`, `file:///folder`, `memory://` or `memory://name`.

    Raises:
        InvalidValue: no store is known for the URL.
    """
    scheme, rest = split(url, (*KNOWN, "file"))
    if scheme == "memory":
        from ringfence.transactions.decisions import memory

        return memory.shared(rest)
    if scheme == "file":
        from ringfence.transactions.decisions.file import FileDecisions

        return FileDecisions(file_path(url))
    from ringfence.transactions.decisions.sqlite import SqliteDecisions

    return SqliteDecisions(sqlite_path(url), timeout=timeout)
