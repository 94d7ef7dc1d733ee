"""Two accounts in two SQLite files, and processes that are killed while they move money between them."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal

from ringfence import _sqlite
from ringfence.transactions import Outcome, TransactionManager

from .children import Child

NAMES = ("east", "west")


FOLDER_IN_MEMORY = Path("/dev/shm")


class Bank:
    """Two SQLite files with an account each, a decision store, and what must be true of them at any time."""

    decisions = "decisions.db"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def opened(cls, folder: Path) -> "Bank":
        """With 100 in either account."""
        for name in NAMES:
            connection = sqlite3.connect(folder / f"{name}.db")
            connection.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance CHECK (balance >= 0))")
            connection.execute("INSERT INTO account VALUES (1, 100)")
            connection.commit()
            connection.close()
        return cls(folder)

    def copy(self, folder: Path) -> "Bank":
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("*-shm"))
        return type(self)(folder)

    def manager(
        self, name: str = "main", timeout: float = 1.0, ack: Literal["applied", "decided"] = "applied"
    ) -> TransactionManager:
        urls = {name: f"sqlite:///{self.folder}/{name}.db" for name in NAMES}
        return TransactionManager(
            f"sqlite:///{self.folder}/{self.decisions}", urls, name=name, timeout=timeout
        )

    def balances(self) -> tuple[int, int]:
        """As a program reads them that knows nothing of ringfence."""
        found = []
        for name in NAMES:
            connection = sqlite3.connect(self.folder / f"{name}.db")
            found.append(connection.execute("SELECT balance FROM account").fetchone()[0])
            connection.close()
        return found[0], found[1]

    def check_recovery(self, gid: str, acknowledged: bool, after: tuple[int, int] = (90, 110)) -> Outcome:
        """Recover twice; then all or nothing of `gid` happened, all if it was acknowledged, and nothing is left."""
        with self.manager() as tm:
            started = tm.decisions.epoch("main")
            assert not tm.recover().unresolved
            again = tm.recover()
            assert (again.resolved, again.unresolved) == ([], [])
            assert [participant.recover() for participant in tm.participants.values()] == [[], []]
            committed = self.balances() == after
            assert committed or (self.balances() == (100, 100) and not acknowledged)
            expected = Outcome.COMMITTED if committed else Outcome.ABORTED
            assert not started or [tm.outcome(gid), tm.outcome(gid)] == [expected] * 2
            with tm.transaction() as tx:
                for name in NAMES:
                    tx[name].execute("UPDATE account SET balance = balance + 1")
            assert self.balances() == tuple(balance + 1 for balance in (after if committed else (100, 100)))
            return expected


class MarkerBank(Bank):
    """Its decisions are in one of the two files."""

    decisions = "east.db"


def transfer(tm: TransactionManager) -> str:
    with tm.transaction() as tx:
        tx["east"].execute("UPDATE account SET balance = balance - 10")
        tx["west"].execute("UPDATE account SET balance = balance + 10")
    return tx.gid


Acknowledge = Callable[[], object]


def forked(work: Callable[[Acknowledge], object]) -> tuple[int, bool]:
    """Run `work` in a forked child; return its exit status (-9 when it killed itself) and whether it acknowledged."""
    with closing(Child(lambda say: work(partial(say, b"!")))) as child:
        status = {"ended": 0, "killed": -signal.SIGKILL}.get(child.wait(), 1)
        return status, child.said == b"!"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_statement(number: int) -> None:
    """From now on, kill this process just before the SQL statement of that number, on whatever connection."""
    left = [number]

    def count(sql: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            die()

    class Dying(_sqlite.Connection):
        def __init__(self, *args: object, **more: object) -> None:
            super().__init__(*args, **more)  # type: ignore[arg-type]
            self.set_trace_callback(count)

    _sqlite.CONNECTION = Dying
