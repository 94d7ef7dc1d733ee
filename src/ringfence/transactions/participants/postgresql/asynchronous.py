"""A PostgreSQL database as a participant, for asyncio."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence._postgresql.line import AsyncLine
from ringfence._postgresql.pool import AsyncPool
from ringfence.protocol import arun
from ringfence.transactions.decisions.postgresql import PostgresDecisions
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants.postgresql.branch import AsyncPostgresBranch
from ringfence.transactions.participants.postgresql.phases import Phases


class AsyncPostgresParticipant(Phases):
    """What `PostgresParticipant` is, as coroutines of one event loop; the arguments are the same."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        super().__init__(url, timeout)
        self._pool = AsyncPool(url, timeout, self._make_ready)

    async def begin(self, gid: str) -> AsyncPostgresBranch:
        """Start the branch of `gid`; others run beside it."""
        branch: AsyncPostgresBranch = await arun(self._begin(gid))
        return branch

    async def prepare(self, gid: str) -> Vote:
        """Compare the fences and prepare the transaction, in one round trip."""
        return await arun(self._prepare(gid))

    async def commit(self, gid: str) -> None:
        """Commit the prepared transaction."""
        await arun(self._commit(gid))

    async def one_phase(self, gid: str) -> None:
        """Commit the open transaction, with a row that says so."""
        await arun(self._one_phase(gid))

    async def decide(self, gid: str) -> Outcome:
        """Commit the open transaction together with the decision."""
        return await arun(self._decide(gid))

    async def rollback(self, gid: str) -> None:
        """Give up the transaction, open or prepared."""
        await arun(self._rollback(gid))

    async def recover(self, prefix: str = "") -> list[str]:
        """The gids that begin with `prefix` of what ringfence prepared in this database."""
        return await arun(self._recover(prefix))

    async def resolve_many(self, gids: Sequence[str], outcome: Outcome) -> list[Exception | None]:
        """Commit or roll back many prepared transactions; what came in the way of each."""
        return await arun(self._resolve_many(gids, outcome))

    async def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed here in one phase, or never can be."""
        return await arun(self._settled(gid))

    async def settle(self, gid: str) -> Outcome:
        """Like `settled`; a branch that could still commit in one phase no longer can."""
        return await arun(self._settle(gid))

    def decision_store(self) -> PostgresDecisions:
        """Open the decision store in the same database; it is one for threads."""
        return PostgresDecisions(self.url, timeout=self._timeout)

    async def close(self) -> None:
        """Roll back open branches and close the connections. Closing twice is harmless."""
        for branch in list(self._branches.values()):
            await arun(self._leave(branch))
        self._pool.close()

    def _branch(self, gid: str, line: AsyncLine) -> AsyncPostgresBranch:
        return AsyncPostgresBranch(gid, line, self._sql)
