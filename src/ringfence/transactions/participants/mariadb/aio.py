"""A database of MariaDB as a participant, for asyncio."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.errors import RingfenceError
from ringfence.protocol import arun
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants.mariadb.base import BaseParticipant
from ringfence.transactions.participants.mariadb.branch import AsyncMariaBranch
from ringfence.transactions.participants.mariadb.pool import AioPool


class AsyncMariaParticipant(BaseParticipant[AsyncMariaBranch]):
    """The same as `MariaParticipant`, as coroutines: asyncio waits, and no thread does but while connecting.

    Args:
        url: `mariadb://user:password@host:port/database`, or `mysql://…`.
        timeout: seconds, in whole ones, that a statement waits for other transactions.

    Raises:
        BackendUnavailable: PyMySQL is not installed.
        InvalidValue: it is no URL of MariaDB, or names no database.
    """

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        super().__init__(url, timeout, AioPool, AsyncMariaBranch)

    async def begin(self, gid: str) -> AsyncMariaBranch:
        """Start the branch of `gid`; nothing is sent before its first statement."""
        return self.begin_branch(gid)

    async def prepare(self, gid: str) -> Vote:
        """Make the branch's work durable without showing it, and promise that it can be committed."""
        return await arun(self.preparing(gid))

    async def commit(self, gid: str) -> None:
        """Show the prepared work."""
        await arun(self.committing(gid))

    async def rollback(self, gid: str) -> None:
        """Give up the branch, prepared or not."""
        await arun(self.rolling_back(gid))

    async def one_phase(self, gid: str) -> None:
        """Commit a branch that was not prepared, durably, and remember that `gid` was committed here."""
        await arun(self.committing_at_once(gid))

    async def decide(self, gid: str) -> Outcome:
        """Commit a branch that was not prepared, with the decision row of its transaction."""
        return await arun(self.deciding(gid))

    async def recover(self, prefix: str = "") -> list[str]:
        """The gids of the prepared branches in this database that begin with `prefix`."""
        return await arun(self.recovering(prefix))

    async def resolve_many(self, gids: Sequence[str], outcome: Outcome) -> list[RingfenceError | None]:
        """End many prepared branches; for each None, or why it could not be ended."""
        return await arun(self.resolving_many(gids, outcome))

    async def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed here in one phase, or never can be."""
        return await arun(self.asking_settled(gid))

    async def settle(self, gid: str) -> Outcome:
        """Like `settled`; a branch that could still commit in one phase no longer can."""
        return await arun(self.settling(gid))

    async def close(self) -> None:
        """Give up branches that were not prepared, and all connections. Closing twice is harmless."""
        self.close_all()
