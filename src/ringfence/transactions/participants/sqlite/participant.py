"""An SQLite file as a participant.

::

    begin             BEGIN IMMEDIATE, no intent stands; SAVEPOINT; statements run for real and are recorded
    prepare           ROLLBACK TO the savepoint, INSERT the record as *intent*, COMMIT: one fsync, no gap in the lock
    commit            BEGIN IMMEDIATE, run the record again, DELETE the intent, COMMIT
    rollback          ROLLBACK; or, prepared, DELETE the intent
    one_phase         mark the gid as committed, COMMIT
    decide            INSERT the decision row, COMMIT

What ends an intent is not synced to the disk: the intent was, and so was the decision. Should the machine lose its
power then, the intent stands there again, and recovery ends it as was decided.

At most one intent stands in a file. While it does, other branches wait to begin, and guard triggers refuse the
writes of programs that use plain SQLite. What they do to the schema, to virtual tables (full-text search) and with
ANALYZE cannot be refused: a record that then fails, or changes another number of rows, is not committed, the intent
is kept and `HeuristicOutcome` says so.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from contextlib import closing

from ringfence import _sqlite, _sqlite_marks
from ringfence._sqlite import Connection, Pool, immediate, translating
from ringfence.errors import Aborted, FenceRejected, HeuristicOutcome, InDoubt, InvalidValue
from ringfence.transactions.decisions.poison import deciding, poison_of
from ringfence.transactions.decisions.sqlite import SqliteDecisions, put
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Capabilities
from ringfence.transactions.participants.sqlite import guards, redo, settled
from ringfence.transactions.participants.sqlite.branch import SqliteBranch
from ringfence.transactions.participants.sqlite.deterministic import Answers

_INTENT = (
    "CREATE TABLE IF NOT EXISTS ringfence_intent (gid TEXT PRIMARY KEY, redo TEXT NOT NULL) WITHOUT ROWID"
)


class SqliteParticipant:
    """A `Participant` whose branches run SQL on the file `path`.

    Args:
        path: the file, in a folder that exists; made when missing.
        timeout: seconds that `begin` waits for other transactions on the file.

    Attributes:
        path: the file, as it was given.
        place: the file, whatever it is called.
        capabilities: what it can do beyond two phases.
    """

    capabilities = Capabilities(marker=True)

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 5.0) -> None:
        self.path = os.fspath(path)
        self.place = os.path.realpath(self.path)
        self._timeout = timeout
        self._pool = Pool(self.path, timeout=timeout, prepare=_make_ready)
        self._ending = Pool(self.path, timeout=timeout, prepare=_make_ready_to_end)
        self._branches: dict[str, SqliteBranch] = {}
        self._guarded: int | None = None
        self._poison = poison_of(self.path)

    def begin(self, gid: str) -> SqliteBranch:
        """Start the branch of `gid`: take the file's write lock, once no prepared work stands in the file."""
        parsed = Gid.parse(gid)
        if gid in self._branches:
            raise InvalidValue(f"the branch of {gid} on {self.path!r} is open already")
        connection = self._pool.take()
        try:
            with translating(self.path):
                self._lock(connection)
                connection.execute("SAVEPOINT ringfence_work")
                connection.execute(Answers.START)
            connection.companion.begin()
            branch = self._branches[gid] = SqliteBranch(parsed, connection)
        except BaseException:
            connection.close()
            raise
        return branch

    def prepare(self, gid: str) -> Vote:
        """Keep the branch's statements as an intent, durably, in place of what they did."""
        branch = self._end(gid)
        if branch is None:
            return self._prepared_before(gid)
        with _Last(self._pool, branch.connection) as connection:
            branch.refuse_failed()
            if branch.wrote:
                connection.execute("ROLLBACK TO ringfence_work")
            compare_fences(connection, branch)
            if not branch.wrote:
                return Vote.READ_ONLY
            added = self._guard(connection)
            keep_intent(connection, gid, redo.encode([*map(_without, added), *branch.redo]))
            _sqlite.commit(connection)
            return Vote.YES

    def commit(self, gid: str) -> None:
        """Run the intent's statements again, and take it away, in one transaction."""
        with self._ending.borrow() as connection, immediate(connection):
            kept = connection.execute("SELECT redo FROM ringfence_intent WHERE gid = ?", (gid,)).fetchone()
            if kept is not None:
                connection.execute("DELETE FROM ringfence_intent WHERE gid = ?", (gid,))
                self._run_again(connection, gid, kept[0])
                self._guard(connection)

    def one_phase(self, gid: str) -> None:
        """Commit the branch as it is, marked in the same transaction."""
        branch = self._end(gid)
        if branch is None:
            self._committed_before(gid)
            return
        with _Last(self._pool, branch.connection) as connection:
            branch.refuse_failed()
            compare_fences(connection, branch)
            if not settled.commit(connection, branch.gid):
                raise Aborted(gid, "it was settled as aborted before it committed")
            _sqlite.commit(connection)

    def decide(self, gid: str) -> Outcome:
        """Commit the branch as it is, and the decision row with it."""
        branch = self._end(gid)
        if branch is None:
            return self._decided_before(gid)
        with _Last(self._pool, branch.connection) as connection:
            branch.refuse_failed()
            compare_fences(connection, branch)
            with deciding(self._poison), translating(self.path):
                standing = put(connection, branch.gid, Outcome.COMMITTED)
                if standing is Outcome.COMMITTED:
                    _sqlite.commit(connection)
                return standing

    def decision_store(self) -> SqliteDecisions:
        """Open the decision store in the same file."""
        return SqliteDecisions(self.path, timeout=self._timeout)

    def guard(self, gid: str, resource: str, fence: int) -> None:
        """Compare `fence` with the mark of `resource` when the branch ends; `ringfence.Guard` keeps the same marks."""
        branch = self._branches.get(gid)
        if branch is None:
            raise _not_open(gid)
        branch.fences[resource] = fence

    def rollback(self, gid: str) -> None:
        """Give up the branch, or its intent."""
        branch = self._end(gid)
        if branch is not None:
            with _Last(self._pool, branch.connection):
                return
        if gid in self.recover():
            with self._ending.borrow() as connection, immediate(connection):
                connection.execute("DELETE FROM ringfence_intent WHERE gid = ?", (gid,))

    def recover(self, prefix: str = "") -> list[str]:
        """The gids of the intents in the file that begin with `prefix`."""
        with self._pool.borrow() as connection:
            gids = [gid for (gid,) in connection.execute("SELECT gid FROM ringfence_intent")]
        return [gid for gid in gids if gid.startswith(prefix)]

    def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed here in one phase, or never can be."""
        with self._pool.borrow() as connection:
            return settled.read(connection, Gid.parse(gid))

    def settle(self, gid: str) -> Outcome:
        """Like `settled`; a branch that could still commit in one phase no longer can."""
        with self._pool.borrow() as connection, immediate(connection):
            free = settled.abort(connection, Gid.parse(gid))
            return Outcome.ABORTED if free else Outcome.COMMITTED

    def close(self) -> None:
        """Roll back open branches, but none of the process this one was forked from, and close the file."""
        for gid, branch in list(self._branches.items()):
            if branch.process == os.getpid():
                self.rollback(gid)
        self._pool.close()
        self._ending.close()

    def _lock(self, connection: Connection) -> None:
        """Take the write lock at a moment when no intent stands."""
        deadline = time.monotonic() + self._timeout
        while True:
            _sqlite.begin(connection)
            standing = _intent(connection)
            if standing is None:
                return
            _sqlite.rollback(connection)
            _wait(connection, standing, deadline)

    def _end(self, gid: str) -> SqliteBranch | None:
        """The open branch of `gid`, which is no longer open from now on."""
        branch = self._branches.pop(gid, None)
        if branch is not None and branch.process != os.getpid():
            return None  # the parent's
        if branch is not None:
            branch.over = True
        return branch

    def _guard(self, connection: Connection) -> list[str]:
        """Install what guards are missing; looked for only when the schema has changed since they were complete."""
        [(version,)] = connection.execute("PRAGMA schema_version")
        if version == self._guarded:
            return []
        added = guards.install(connection)
        if not added:
            self._guarded = version
        return added

    def _prepared_before(self, gid: str) -> Vote:
        if gid in self.recover():
            return Vote.YES
        raise _not_open(gid)

    def _committed_before(self, gid: str) -> None:
        if self.settled(gid) is not Outcome.COMMITTED:
            raise _not_open(gid)

    def _decided_before(self, gid: str) -> Outcome:
        with closing(self.decision_store()) as decisions:
            standing = decisions.get(gid)
        if standing is None:
            raise _not_open(gid)
        return standing

    def _run_again(self, connection: Connection, gid: str, kept: str) -> None:
        try:
            redo.run_again(connection, connection.companion, redo.decode(kept))
        except (redo.Diverged, sqlite3.Error, ValueError, TypeError) as error:
            if isinstance(error, sqlite3.Error) and _sqlite.translate(self.path, error) is not None:
                raise
            raise HeuristicOutcome(gid, self.path, f"{error}; its intent is kept in the file") from error


def compare_fences(connection: Connection, branch: SqliteBranch) -> None:
    """Compare the branch's fences with the marks, and raise these if it wrote, in the transaction that is open.

    Raises:
        FenceRejected: a newer holder has written.
    """
    for resource, fence in branch.fences.items():
        mark = _sqlite_marks.read(connection, resource)
        if fence < mark:
            raise FenceRejected(resource, fence, mark)
        if branch.wrote and fence > mark:
            _sqlite_marks.put(connection, resource, fence)


def _not_open(gid: str) -> Aborted:
    return Aborted(gid, "its branch is not open here; its work was lost or given up")


def keep_intent(connection: Connection, gid: str, kept: str) -> None:
    """Put the intent of `gid` into the file; it stands there until the branch is committed or rolled back."""
    connection.execute("INSERT INTO ringfence_intent VALUES (?, ?)", (gid, kept))


def _without(guard: str) -> redo.Statement:
    """What a record begins with: its statements ran without that guard, and a trigger changes the order of work."""
    return redo.Statement(f"DROP TRIGGER IF EXISTS {guard}", (), False, 0, [])


class _Last:
    """The last use of a branch's connection: whatever is still open is rolled back, and it goes to the pool."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool, connection: Connection) -> None:
        self._pool = pool
        self._connection = connection

    def __enter__(self) -> Connection:
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            _sqlite.rollback(self._connection)
        except BaseException:
            self._connection.close()
            raise
        if error is None or isinstance(error, Aborted | FenceRejected):
            self._pool.give(self._connection)
        else:
            self._connection.close()
        if isinstance(error, sqlite3.Error):
            translated = _sqlite.translate(self._pool.path, error)
            if translated is not None:
                raise translated from error


def _make_ready(connection: Connection) -> None:
    if not _sqlite.has_table(connection, "ringfence_settled"):
        with immediate(connection):
            connection.execute(_INTENT)
            connection.execute(settled.TABLE)
    connection.companion = Answers(connection)


def _make_ready_to_end(connection: Connection) -> None:
    _make_ready(connection)
    connection.execute(
        "PRAGMA synchronous=NORMAL"
    )  # in WAL mode: written, and synced with what is written next


def _intent(connection: Connection) -> str | None:
    """The gid of the prepared work that stands in the file, if any."""
    row = connection.execute("SELECT gid FROM ringfence_intent").fetchone()
    return None if row is None else str(row[0])


def _wait(connection: Connection, standing: str | None, deadline: float) -> None:
    """Wait until no intent stands, without taking the lock that its commit needs."""
    pause = 0.0005
    while standing is not None:
        if time.monotonic() >= deadline:
            raise InDoubt(standing, f"its prepared work stands in {connection.path!r}, and others must wait")
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, 0.01)
        standing = _intent(connection)
