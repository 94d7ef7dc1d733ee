"""Participants: stores that can hold the work of a transaction back until it is decided.

A *branch* is the work of one transaction on one participant. Work that was never prepared is lost with its process;
prepared work is durable, seen by nobody and overwritten by nobody, until it is committed or rolled back.
"""

from __future__ import annotations

from typing import Protocol

from ringfence._url import split, sqlite_path
from ringfence.transactions.outcome import Outcome, Vote


class Branch(Protocol):
    """A transaction's work on one participant; what it offers beside this is the participant's own affair."""

    @property
    def wrote(self) -> bool:
        """Has this branch tried to change anything?"""


class Participant(Protocol):
    """What the protocols ask of a participant. All but `begin` may be asked twice, and late."""

    def begin(self, gid: str) -> Branch:
        """Start the branch of `gid`, alone in this participant until it is prepared or over.

        Raises:
            StoreTimeout: another branch did not end in time.
            InDoubt: a prepared branch stands in the way; it names that one's gid.
        """

    def prepare(self, gid: str) -> Vote:
        """Make the branch's work durable without showing it, and promise that it can be committed.

        Any exception is a vote against; the work is then given up, or will be by `rollback`. A branch whose
        statement failed votes against, even if the application caught the error.
        """

    def commit(self, gid: str) -> None:
        """Show the prepared work. A branch that is not there was committed before.

        Raises:
            HeuristicOutcome: the work cannot be done any more; it is kept for somebody to look at.
        """

    def commit_one_phase(self, gid: str) -> None:
        """Commit a branch that was not prepared, durably, and remember that `gid` was committed here.

        Raises:
            OutcomeUnknown: it may or may not have been; `settle` tells.
            Exception: nothing of the branch happened.
        """

    def rollback(self, gid: str) -> None:
        """Give up the branch, prepared or not. A branch that is not there was rolled back before."""

    def prepared(self) -> list[str]:
        """The gids of all prepared branches."""

    def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed here in one phase or can never be any more; None if it still could."""

    def settle(self, gid: str) -> Outcome:
        """Like `settled`, and where it still could be: make sure that it never is, durably."""

    def close(self) -> None:
        """Give up branches that were not prepared, and connections. Closing twice is harmless."""


def from_url(url: str, timeout: float) -> Participant:
    """Open the participant that `url` names: `sqlite:///path`, `memory://` or `memory://name`.

    Raises:
        InvalidValue: no participant is known for the URL.
    """
    scheme, rest = split(url)
    if scheme == "memory":
        from ringfence.transactions.participants import memory

        return memory.shared(rest, timeout)
    from ringfence.transactions.participants.sqlite import SqliteParticipant

    return SqliteParticipant(sqlite_path(url), timeout=timeout)
