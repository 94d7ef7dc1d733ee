"""Ending prepared branches that are on no session of ours, whatever it is that holds them.

MariaDB keeps a prepared branch with the session that prepared it until that one ends, and knows nothing of the branch
elsewhere (error 1397, "unknown XID", although `XA RECOVER` lists it). A session whose process died with its machine, or
behind a broken network, may live on for hours. Each branch carries the token of its session in its own row, so whoever
ends the branch can find that session, and kill it first.
"""

from __future__ import annotations

from collections.abc import Sequence

from ringfence._mysql.frames import statement
from ringfence._mysql.session import Answer, Reply
from ringfence.errors import HeuristicOutcome, RingfenceError, StoreTimeout
from ringfence.protocol import Effects, Now, Sleep
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants.mariadb.asking import Database
from ringfence.transactions.participants.mariadb.failures import (
    NO_SESSION,
    UNKNOWN_XID,
    answered,
    code,
    refusal,
)
from ringfence.transactions.participants.mariadb.xid import gid_of, xid

_PAUSE = 0.02
_AT_ONCE = 200
_UNCOMMITTED = statement("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
_KEEP_ROWS = "1 DAY"
"""How long after they were prepared rows are kept: longer than a branch waits for a recovery that saw it."""
_OLD = f"SELECT gid FROM ringfence_branch WHERE at < NOW() - INTERVAL {_KEEP_ROWS} LIMIT 1000"


class Resolving:
    """Ends branches by name.

    Args:
        database: where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: set[str] = set()

    def listed(self, prefix: str = "") -> Effects[list[str]]:
        """The gids of all branches of this database that are prepared."""
        name = yield from self._database.name()
        found = yield from self._database.one("XA RECOVER")
        gids = (gid_of(row, name) for row in found.rows)
        return sorted(gid for gid in gids if gid is not None and gid.startswith(prefix))

    def recover(self, prefix: str) -> Effects[list[str]]:
        """The same, remembered: what is gone later was ended by somebody."""
        gids = yield from self.listed(prefix)
        self._seen = {gid for gid in self._seen if not gid.startswith(prefix)}.union(gids)
        yield from self._forget_old_rows()
        return gids

    def end(self, gid: str, outcome: Outcome, *, prepared: bool, token: str = "") -> Effects[None]:
        """End the branch of `gid`; one that is not there was ended before.

        Args:
            gid: the transaction.
            outcome: committed or aborted.
            prepared: it surely was prepared.
            token: of a session that may be about to prepare it, and has to end first.

        Raises:
            HeuristicOutcome: somebody has ended it otherwise.
            StoreTimeout: the session that holds it does not end.
            StoreError: the server cannot be reached, or refuses.
            InvalidValue: not a gid.
        """
        Gid.parse(gid)
        if token:
            yield from self.kill(token)
        until = (yield Now()) + self._database.patience
        while not (yield from self._ended(gid, outcome, prepared or gid in self._seen)):
            if (yield Now()) > until:
                raise StoreTimeout(
                    f"a session of MariaDB holds the branch of {gid} and does not end; try again"
                )
            yield Sleep(_PAUSE)
        self._seen.discard(gid)

    def end_many(self, gids: Sequence[str], outcome: Outcome) -> Effects[list[RingfenceError | None]]:
        """End many branches, hundreds in a round trip; what became of each: None, or why it could not be ended."""
        name = yield from self._database.name()
        results: list[RingfenceError | None] = []
        for start in range(0, len(gids), _AT_ONCE):
            chunk = gids[start : start + _AT_ONCE]
            asked = [statement(_end(outcome, xid(gid, name))) for gid in chunk]
            replies = yield from self._database.replies(*asked)
            for gid, reply in zip(chunk, replies, strict=True):
                results.append((yield from self._afterwards(gid, outcome, reply)))
        return results

    def _afterwards(self, gid: str, outcome: Outcome, reply: Reply) -> Effects[RingfenceError | None]:
        if isinstance(reply, Answer):
            self._seen.discard(gid)
            return None
        try:
            yield from self.end(gid, outcome, prepared=False)
        except RingfenceError as error:
            return error
        return None

    def _ended(self, gid: str, outcome: Outcome, prepared: bool) -> Effects[bool]:
        """Try once; free it where a session holds it."""
        name = yield from self._database.name()
        reply = yield from self._database.reply(_end(outcome, xid(gid, name)))
        if isinstance(reply, Answer):
            return True
        if code(reply) != UNKNOWN_XID:
            raise refusal(reply) from reply
        if gid not in (yield from self.listed(gid)):
            yield from self._check(gid, outcome, prepared)
            return True
        yield from self.kill((yield from self._holder(gid)))
        return False

    def _check(self, gid: str, outcome: Outcome, prepared: bool) -> Effects[None]:
        """See whether a branch that is gone ended as it should: its row is there if it was committed."""
        found = yield from self._database.one(f"SELECT 1 FROM ringfence_branch WHERE gid = '{gid}'")
        if outcome is Outcome.ABORTED and found.rows:
            raise HeuristicOutcome(gid, str(self._database), "somebody committed it by hand")
        if outcome is Outcome.COMMITTED and prepared and not found.rows:
            raise HeuristicOutcome(gid, str(self._database), "somebody rolled it back by hand")

    def _holder(self, gid: str) -> Effects[str]:
        """The token in the branch's row, which is not committed yet; empty if the branch ended meanwhile."""
        select = statement(f"SELECT session FROM ringfence_branch WHERE gid = '{gid}'")
        _, found = yield from self._database.all(_UNCOMMITTED, select)
        return found.rows[0][0].decode() if found.rows else ""

    def kill(self, token: str) -> Effects[None]:
        """Kill the session that is called so, and wait until it has ended."""
        until = (yield Now()) + self._database.patience
        while token:
            held = yield from self._database.one(f"SELECT IS_USED_LOCK('{token}')")
            if held.rows[0][0] is None:
                return
            reply = yield from self._database.reply(f"KILL {int(held.rows[0][0])}")
            if code(reply) != NO_SESSION:
                answered(reply)
            if (yield Now()) > until:
                raise StoreTimeout("a session of MariaDB was killed and does not end; try again")
            yield Sleep(_PAUSE)

    def _forget_old_rows(self) -> Effects[None]:
        """Take away rows of branches that were committed long ago; those that are prepared are not seen.

        Where that is refused, because others do the same, it is left to the next time.
        """
        old = yield from self._database.one(_OLD)
        if old.rows:
            gids = ", ".join(f"'{gid.decode()}'" for (gid,) in old.rows)
            yield from self._database.reply(f"DELETE FROM ringfence_branch WHERE gid IN ({gids})")


def _end(outcome: Outcome, branch: str) -> str:
    return f"XA {'COMMIT' if outcome is Outcome.COMMITTED else 'ROLLBACK'} {branch}"
