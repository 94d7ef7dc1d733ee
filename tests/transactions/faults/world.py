"""A bank over several stores, processes that move money between them, and the one oracle of what they may leave."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from ringfence.errors import Aborted, InDoubt, StoreError
from ringfence.testing.crash_points import Place, Trap
from ringfence.transactions import TransactionManager
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.decisions.file import FileDecisions
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.evidence import DecisionLog
from ringfence.transactions.transaction import Transaction

from ..children import Child, Say

MONEY = 1000
STEP = 10
WORK = {
    "two": {"east": -STEP, "west": STEP},
    "three": {"east": -2 * STEP, "north": STEP, "west": STEP},
    "reader": {"east": -STEP, "north": 0, "west": STEP},
    "one phase": {"east": -STEP, "west": 0},
}
"""What a transaction of each shape adds to the accounts; where nothing, it only reads."""

NAMES = ("east", "north", "west")
SMALL_SEGMENT = 1
Armed = tuple[Place, Callable[[], object]]


class World:
    """SQLite files with an account each, and decisions in a file of their own, in a log, or in `east`."""

    def __init__(self, folder: Path, decisions: str, shape: str) -> None:
        self.folder = folder
        self.decisions = decisions
        self.adds = WORK[shape]
        self.names = [name for name in NAMES if name in self.adds]
        for name in self.names:
            self.run(name, "CREATE TABLE account (balance INTEGER)", f"INSERT INTO account VALUES ({MONEY})")
        with self.manager() as tm:
            tm.recover()

    def run(self, name: str, *statements: str) -> list[tuple[int, ...]]:
        """Run statements as a program does that knows nothing of ringfence; return the rows of the last."""
        with closing(sqlite3.connect(self.folder / f"{name}.db", timeout=30)) as connection, connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
            return rows

    @contextmanager
    def manager(self, trap: Trap | None = None) -> Iterator[TransactionManager]:
        """A manager of the one name, opened in this process."""
        store, disk = self.store()
        participants = {name: f"sqlite:///{self.folder}/{name}.db" for name in self.names}
        with TransactionManager(store, participants, timeout=0.2) as tm:
            if trap is not None:
                trap.watch(tm.decisions, *tm.participants.values(), *filter(None, [disk]))
            yield tm

    def store(self) -> tuple[str | DecisionStore | None, Disk | None]:
        """The decision store, and the disk that it is on if that can be watched."""
        if self.decisions == "marker":
            return None, None
        if self.decisions == "sqlite":
            return f"sqlite:///{self.folder}/decisions.db", None
        disk = Disk(self.folder / "log")
        return FileDecisions("", segment=SMALL_SEGMENT, disk=disk), disk

    def process(self, work: Callable[[World, Trap, Say], object], armed: Armed) -> Child:
        """Start a process that does something, with a trap."""
        return Child(partial(work, self, Trap(*armed)))

    def balances(self) -> dict[str, int]:
        """What is in the accounts."""
        return {name: self.run(name, "SELECT balance FROM account")[0][0] for name in self.names}

    def take_over(self) -> bool:
        """Recover as another process does, while one of the name may be alive; False if the store does not let it."""
        try:
            with self.manager() as tm:
                tm.recover()
        except StoreError:
            assert self.decisions in ("log", "marker"), (
                "of these a paused process may hold on to the whole file"
            )
            return False
        return True

    def checkpoint(self) -> Callable[[], object]:
        """Take a checkpoint of a log; what is returned proves that the log was only added to."""
        if self.decisions != "log":
            return lambda: None
        old = DecisionLog(self.folder / "log").checkpoint()

        def check() -> None:
            log = DecisionLog(self.folder / "log")
            log.check(old)
            log.prove_growth(old).check(old, log.checkpoint())

        return check

    def check(self, said: bytes) -> int:
        """The oracle; return how many transactions were committed.

        All or nothing; what was acknowledged is committed, and what was reported as aborted is not; nothing stays
        prepared or locked; a second recovery has nothing to do; the log was only added to.
        """
        only_added_to = self.checkpoint()
        with self.manager() as tm:
            first, second = tm.recover(), tm.recover()
            assert not first.unresolved, first
            assert (second.resolved, second.unresolved) == ([], [])
            assert [tm.participants[name].recover() for name in self.names] == [[]] * len(self.names)
            balances = self.balances()
            done = (MONEY - balances["east"]) // STEP // (-self.adds["east"] // STEP)
            assert balances == {name: MONEY + done * add for name, add in self.adds.items()}
            self.check_reports(said, done)
            with tm.transaction() as tx:
                transfer(self, tx)
        assert self.balances() == {name: MONEY + (done + 1) * add for name, add in self.adds.items()}
        only_added_to()
        return done

    def check_reports(self, said: bytes, done: int) -> None:
        """Each transaction of the process says + when it was told committed, - when aborted, ? when in doubt."""
        begun, told = said.count(b"("), {sign: said.count(sign) for sign in (b"+", b"-")}
        assert told[b"+"] <= done <= begun - told[b"-"], (said, done)


def transfer(world: World, tx: Transaction, trap: Trap | None = None) -> None:
    """The work of one transaction."""
    for name, add in world.adds.items():
        if add:
            tx[name].execute("UPDATE account SET balance = balance + ?", (add,))
        else:
            tx[name].execute("SELECT balance FROM account")
        if trap is not None:
            trap.reached("execute", "after")


def coordinate(world: World, trap: Trap, say: Say, times: int = 1) -> None:
    """Run some transactions, and say what becomes of each."""
    with world.manager(trap) as tm:
        for _ in range(times):
            say(b"(")
            try:
                with tm.transaction() as tx:
                    transfer(world, tx, trap)
                say(b"+)")
            except Aborted:
                say(b"-)")
            except InDoubt:
                say(b"?)")


def recover(world: World, trap: Trap, say: Say) -> None:
    """Recover."""
    with world.manager(trap) as tm:
        tm.recover()
