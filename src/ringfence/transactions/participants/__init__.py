"""Participants: stores that can hold the work of a transaction back until it is decided.

A *branch* is the work of one transaction on one participant. Work that was never prepared is lost with its process;
prepared work is durable, seen by nobody and overwritten by nobody, until it is committed or rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from ringfence import _mysql, _postgresql, _redis
from ringfence._url import KNOWN, split, sqlite_path
from ringfence.transactions.outcome import Outcome, Vote

if TYPE_CHECKING:
    from ringfence.transactions.decisions import DecisionStore


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a participant can do beyond two phases.

    Attributes:
        concurrent: branches run side by side; otherwise one at a time, as in an SQLite file.
        marker: it can carry the decision row in its own local transaction.
        durable: what it prepared and committed outlasts a power failure.
    """

    concurrent: bool = False
    marker: bool = False
    durable: bool = True


class Branch(Protocol):
    """A transaction's work on one participant; what it offers beside this is the participant's own affair."""

    @property
    def wrote(self) -> bool:
        """Has this branch tried to change anything?"""


class Participant(Protocol):
    """What the protocols ask of a participant. All but `begin` may be asked twice, and late.

    Further methods are used where they are there:

    - `guard(gid, resource, fence)` remembers a fence that `prepare`, `one_phase` and `decide` compare with the mark of
      `resource`, in the same local transaction as the work: a mark above it is a vote against (`FenceRejected`), else
      the mark becomes the fence.
    - `send(operation, *args)` sends a request and returns what waits for its answer, or None; see `protocol.Parallel`.
    - `resolve_many(gids, outcome)` commits or rolls back many prepared branches, and returns for each of them None or
      the error.
    - `place`, an attribute, tells whether two participants are the same store.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What it can do beyond two phases."""

    def begin(self, gid: str) -> Branch:
        """Start the branch of `gid`; alone in this participant until it is prepared or over, unless `concurrent`.

        Raises:
            StoreTimeout: another branch did not end in time.
            InDoubt: a prepared branch stands in the way; it names that one's gid.
        """

    def prepare(self, gid: str) -> Vote:
        """Make the branch's work durable without showing it, and promise that it can be committed.

        Any exception is a vote against, and says why; the work is then given up, or will be by `rollback`. A branch
        whose statement failed votes against, even if the application caught the error.
        """

    def commit(self, gid: str) -> None:
        """Show the prepared work. A branch that is not there was committed before.

        Raises:
            HeuristicOutcome: it ended otherwise by somebody's hand, or the work cannot be done any more.
        """

    def one_phase(self, gid: str) -> None:
        """Commit a branch that was not prepared, durably, and remember that `gid` was committed here.

        Raises:
            OutcomeUnknown: it may or may not have been; `settle` tells.
            Exception: nothing of the branch happened.
        """

    def rollback(self, gid: str) -> None:
        """Give up the branch, prepared or not. A branch that is not there was rolled back before.

        Raises:
            HeuristicOutcome: somebody committed it by hand.
        """

    def recover(self, prefix: str = "") -> list[str]:
        """The gids of the prepared branches here that begin with `prefix`; of ringfence's transactions only."""

    def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed here in one phase or can never be any more; None if it still could."""

    def settle(self, gid: str) -> Outcome:
        """Like `settled`, and where it still could be: make sure that it never is, durably."""

    def close(self) -> None:
        """Give up branches that were not prepared, and connections. Closing twice is harmless."""


class Marker(Participant, Protocol):
    """A participant with `capabilities.marker`: the decision can be a row in its own local transaction."""

    def decide(self, gid: str) -> Outcome:
        """Commit the open branch and record "committed" for `gid`, in one local transaction.

        The row is the one that `decision_store()` would put, under the same rules: if another one stands, or the epoch
        is stale, the branch is rolled back.

        Returns:
            What stands in the end.

        Raises:
            OutcomeUnknown: it may or may not have happened; what the decision store says holds.
            Exception: nothing of the branch happened, and nothing was decided.
        """

    def decision_store(self) -> DecisionStore:
        """Open the decision store in the same database."""


_SERVERS = {
    **dict.fromkeys(_postgresql.SCHEMES, ("postgresql", "PostgresParticipant")),
    **dict.fromkeys(_mysql.SCHEMES, ("mariadb", "MariaParticipant")),
    **dict.fromkeys((*_redis.SCHEMES, _redis.SENTINEL, *_redis.CLUSTER), ("redis", "RedisParticipant")),
    **dict.fromkeys(("http", "https"), ("http", "HttpParticipant")),
}
"""Scheme of a URL -> the module, imported when it is needed, and the class."""

_AIO_SERVERS = {
    **dict.fromkeys(_postgresql.SCHEMES, ("postgresql", "AsyncPostgresParticipant")),
    **dict.fromkeys(_mysql.SCHEMES, ("mariadb.aio", "AsyncMariaParticipant")),
    **dict.fromkeys((*_redis.SCHEMES, _redis.SENTINEL, *_redis.CLUSTER), ("redis.aio", "RedisParticipant")),
}
"""The same, where there is a driver for asyncio."""


def from_url(url: str, timeout: float) -> Participant:
    """Open the participant that `url` names.

    Args:
        url: `sqlite:///path`, `postgresql://…`, `mariadb://…`, `redis://…`, `http://…`, `memory://` or `memory://name`.
        timeout: seconds to wait for other transactions there.

    Raises:
        InvalidValue: no participant is known for the URL.
        BackendUnavailable: its driver is not installed; names the extra.
    """
    scheme, rest = split(url, (*KNOWN, *_SERVERS))
    if scheme in _SERVERS:
        opened: Participant = _opened(_SERVERS[scheme], url, timeout)
        return opened
    if scheme == "memory":
        from ringfence.transactions.participants import memory

        return memory.shared(rest, timeout)
    from ringfence.transactions.participants.sqlite import SqliteParticipant

    return SqliteParticipant(sqlite_path(url), timeout=timeout)


def aio_from_url(url: str, timeout: float) -> Any:
    """Like `from_url`, with methods that are coroutines where there is a driver for asyncio."""
    scheme = str(url).partition("://")[0]
    return _opened(_AIO_SERVERS[scheme], url, timeout) if scheme in _AIO_SERVERS else from_url(url, timeout)


def _opened(server: tuple[str, str], url: str, timeout: float) -> Any:
    module, kind = server
    return getattr(import_module(f"{__name__}.{module}"), kind)(url, timeout=timeout)
