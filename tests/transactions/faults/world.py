"""A bank over several stores, processes that move money between them, and the one oracle of what they may leave."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ringfence.errors import Aborted, HeuristicOutcome, InDoubt, StoreError
from ringfence.testing.crash_points import POINTS, Place, Trap, kill
from ringfence.transactions import TransactionManager
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.decisions.file import FileDecisions
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.evidence import DecisionLog
from ringfence.transactions.transaction import Transaction

from ..children import Child, Say
from .stores import PATIENCE, Stores

MONEY = 1000
STEP = 10
WORK = {
    "two": {"east": -STEP, "west": STEP},
    "three": {"east": -2 * STEP, "north": STEP, "west": STEP},
    "reader": {"east": -STEP, "north": 0, "west": STEP},
    "one phase": {"east": -STEP, "west": 0},
}
"""What a transaction of each shape adds to the accounts; where nothing, it only reads."""

SMALL_SEGMENT = 1
Act = Callable[[], object]

_numbers = itertools.count(1)


class World:
    """Accounts, and decisions in a table of their own ("row"), in a log ("log"), or with an account ("marker").

    Args:
        folder: where the log is.
        stores: where the accounts are.
        decisions: "row", "log" or "marker".
        shape: of the transactions, a name of `WORK`.
    """

    def __init__(self, folder: Path, stores: Stores, decisions: str, shape: str) -> None:
        self.folder = folder
        self.stores = stores
        self.decisions = decisions
        self.adds = WORK[shape]
        self.name = f"fault-{next(_numbers)}"  # nothing is left to it by earlier tests
        self.urls = {name: stores.url(name) for name in self.adds}
        for name in self.adds:
            stores.run(name, "CREATE TABLE IF NOT EXISTS account (balance INTEGER)")
            stores.run(name, "DELETE FROM account")
            stores.run(name, f"INSERT INTO account VALUES ({MONEY})")
        with self.manager() as tm:
            tm.recover()

    @contextmanager
    def manager(self, trap: Trap | None = None, timeout: float = PATIENCE) -> Iterator[TransactionManager]:
        """A manager of the one name, opened in this process."""
        store, disk = self.store()
        with TransactionManager(store, self.urls, name=self.name, timeout=timeout) as tm:
            if trap is not None:
                trap.watch(tm.decisions, *tm.participants.values(), *filter(None, [disk]))
            yield tm

    def store(self) -> tuple[str | DecisionStore | None, Disk | None]:
        """The decision store, and the disk that it is on if that can be watched."""
        if self.decisions == "marker":
            return None, None
        if self.decisions == "row":
            return self.stores.url("decisions"), None
        disk = Disk(self.folder / "log")
        return FileDecisions("", segment=SMALL_SEGMENT, disk=disk), disk

    def process(self, work: Callable[[World, Trap, Say], object], place: Place, act: Act) -> Child:
        """Start a process that does something, with a trap."""
        return Child(partial(work, self, Trap(place, act)))

    def balances(self) -> dict[str, int]:
        """What is in the accounts."""
        return {name: self.stores.run(name, "SELECT balance FROM account")[0][0] for name in self.adds}

    def take_over(self) -> bool:
        """Recover as another process does, while one of the name may be alive; False if the store does not let it."""
        try:
            with self.manager(timeout=self.stores.timeout) as tm:
                tm.recover()
        except StoreError:
            assert self.decisions == "log" or self.stores.exclusive, "a paused process keeps nobody else out"
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
        self.stores.left_alone()
        only_added_to = self.checkpoint()
        with self.manager() as tm:
            first, second = tm.recover(), tm.recover()
            assert not first.unresolved, first
            assert (second.resolved, second.unresolved) == ([], [])
            assert [participant.recover(f"{self.name}.") for participant in tm.participants.values()] == [
                [] for _ in self.adds
            ]
            assert tm.heuristics() == []
            balances = self.balances()
            done = (MONEY - balances["east"]) // -self.adds["east"]
            assert balances == self.expected(done)
            check_reports(said, done)
            with tm.transaction() as tx:
                self.transfer(tx)
        assert self.balances() == self.expected(done + 1)
        only_added_to()
        return done

    def expected(self, done: int) -> dict[str, int]:
        """What is in the accounts after so many transactions."""
        return {name: MONEY + done * add for name, add in self.adds.items()}

    def transfer(self, tx: Transaction, trap: Trap | None = None) -> None:
        """The work of one transaction."""
        for name, add in self.adds.items():
            if add:
                tx[name].execute(f"UPDATE account SET balance = balance + {add}")
            else:
                tx[name].execute("SELECT balance FROM account")
            if trap is not None:
                trap.reached("execute", "after")


def check_reports(said: bytes, done: int) -> None:
    """A process says ( when it begins a transaction, and + when told that it is committed, - aborted, ? in doubt,
    ! that a branch did not follow."""
    assert said.count(b"+") <= done <= said.count(b"(") - said.count(b"-"), (said, done)


def coordinate(world: World, trap: Trap, say: Say, times: int = 1) -> None:
    """Run some transactions, and say what becomes of each."""
    with world.manager(trap, world.stores.timeout) as tm:
        for _ in range(times):
            say(b"(")
            try:
                with tm.transaction() as tx:
                    world.transfer(tx, trap)
                say(b"+")
            except Aborted:
                say(b"-")
            except InDoubt:
                say(b"?")
            except HeuristicOutcome:
                say(b"!")


def recover(world: World, trap: Trap, say: Say) -> None:
    """Recover."""
    with world.manager(trap) as tm:
        tm.recover()


def left_behind(world: World, committed: bool) -> bytes:
    """Kill a coordinator when its branches are prepared, before the decision or after it; return what it said."""
    before, after = (
        ("voted-for-marker", "marker-decided") if world.decisions == "marker" else ("voted", "decided")
    )
    child = world.process(coordinate, POINTS[after if committed else before].place, kill)
    try:
        assert child.wait() == "killed"
        return child.said
    finally:
        child.close()
