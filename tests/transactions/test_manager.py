import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.errors import Aborted, InDoubt, InvalidType, InvalidValue, StoreError
from ringfence.transactions import Timeouts, TransactionManager, Vote
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.participants.memory import MemoryBranch, MemoryParticipant
from ringfence.transactions.participants.sqlite import SqliteParticipant

TAKE = "UPDATE account SET balance = 0 RETURNING balance"


@pytest.fixture
def urls(tmp_path: Path) -> dict[str, str]:
    found = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("east", "west")}
    for name in found:
        connection = sqlite3.connect(tmp_path / f"{name}.db")
        with connection:
            connection.execute(
                "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER CHECK (balance >= 0))"
            )
            connection.execute("INSERT INTO account VALUES (1, 100)")
        connection.close()
    return found


@pytest.fixture
def tm(tmp_path: Path, urls: dict[str, str]) -> Iterator[TransactionManager]:
    manager = TransactionManager(f"sqlite:///{tmp_path}/decisions.db", urls, timeout=0.2)
    yield manager
    manager.close()


def move(tm: TransactionManager, amount: int) -> str:
    with tm.transaction() as tx:
        tx["east"].execute("UPDATE account SET balance = balance - ?", (amount,))
        tx["west"].execute("UPDATE account SET balance = balance + ?", (amount,))
    return tx.gid


def balances(tm: TransactionManager) -> list[int]:
    with tm.transaction() as tx:
        return [tx[name].execute("SELECT balance FROM account")[0][0] for name in ("east", "west")]


def test_a_transaction_happens_on_all_participants(tm: TransactionManager) -> None:
    gid = move(tm, 10)
    assert balances(tm) == [90, 110]
    assert tm.outcome(gid) == "committed"


def test_recovering_another_name_does_not_fence_off_who_runs_under_the_own_one(
    tm: TransactionManager, tmp_path: Path, urls: dict[str, str]
) -> None:
    with tm.transaction() as tx:
        tx["east"].execute("UPDATE account SET balance = balance - 10")
        with TransactionManager(f"sqlite:///{tmp_path}/decisions.db", urls, name=tm.name) as command:
            assert command.recover("other").resolved == []
        tx["west"].execute("UPDATE account SET balance = balance + 10")
    assert balances(tm) == [90, 110]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreError("gone")])
def test_an_interrupt_before_the_commit_has_begun_rolls_back(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def interrupted(_: MemoryBranch) -> bool:
        raise error

    east, west = MemoryParticipant(timeout=0.0), MemoryParticipant(timeout=0.0)
    with TransactionManager(MemoryDecisions(), {"east": east, "west": west}) as tm:
        tx = tm.transaction()
        tx["east"].put("key", 1)
        tx["west"].put("key", 1)
        monkeypatch.setattr(MemoryBranch, "wrote", property(interrupted), raising=False)
        with pytest.raises(type(error)):
            tx.commit()
        monkeypatch.undo()
        assert tm.outcome(tx.gid) == "aborted"
        for store in (east, west):
            with store.alone() as branch:  # nobody holds it any more
                branch.put("key", 2)


def test_a_gid_that_was_not_given_out_yet_is_not_aborted_in_advance(tm: TransactionManager) -> None:
    name, epoch, seq = move(tm, 10).split(".")
    with pytest.raises(InvalidValue, match="was not given out yet"):
        tm.outcome(f"{name}.{epoch}.{int(seq) + 1}")
    assert tm.outcome(move(tm, 10)) == "committed"


def test_a_store_that_cannot_be_closed_keeps_no_other_open() -> None:
    closed: list[str] = []

    class Closing(MemoryParticipant):
        def close(self) -> None:
            closed.append("east" if self is stores["east"] else "west")
            raise StoreError("of another thread")

    class Decisions(MemoryDecisions):
        def close(self) -> None:
            closed.append("decisions")

    stores = {"east": Closing(), "west": Closing()}
    with pytest.raises(StoreError, match="of another thread"):
        TransactionManager(Decisions(), stores).close()
    assert closed == ["east", "west", "decisions"]


def test_an_exception_rolls_back(tm: TransactionManager) -> None:
    tx = tm.transaction()
    with pytest.raises(ZeroDivisionError), tx:
        tx["west"].execute("UPDATE account SET balance = ?", (tx["east"].execute(TAKE)[0][0] // 0,))
    assert balances(tm) == [100, 100]
    assert tm.outcome(tx.gid) == "aborted"


def test_a_swallowed_error_aborts(tm: TransactionManager) -> None:
    tx = tm.transaction()
    tx["west"].execute("UPDATE account SET balance = balance + 1000")
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        tx["east"].execute("UPDATE account SET balance = balance - 1000")
    with pytest.raises(Aborted, match="a statement failed: CHECK"):
        tx.commit()
    assert balances(tm) == [100, 100]


def test_nothing_runs_after_a_swallowed_error(tm: TransactionManager) -> None:
    tx = tm.transaction()
    with pytest.raises(sqlite3.IntegrityError):
        tx["east"].execute("INSERT OR ROLLBACK INTO account VALUES (1, 1)")
    with pytest.raises(Aborted, match="a statement failed: UNIQUE"):
        tx["east"].execute("UPDATE account SET balance = 0")
    tx.rollback()
    assert balances(tm) == [100, 100]


def test_waiting_for_each_other_ends_in_an_abort(tm: TransactionManager) -> None:
    with tm.transaction() as one:
        one["east"].execute("UPDATE account SET balance = 1")
        other = tm.transaction()
        with pytest.raises(Aborted, match=r"'east' could not begin: .*stayed locked"):
            other["east"]
        other.rollback()
    assert balances(tm) == [1, 100]


def test_a_transaction_that_is_over_says_so(tm: TransactionManager) -> None:
    with tm.transaction() as tx:
        pass
    with pytest.raises(InvalidValue, match="is over; start a new one"):
        tx["east"]


def test_a_branch_that_is_over_writes_into_no_other(tm: TransactionManager) -> None:
    """They use the same connection, one after the other."""
    with tm.transaction() as tx:
        left = tx["east"]
        left.execute("SELECT 1")
    with tm.transaction() as tx:
        tx["east"].execute("SELECT 1")
        with pytest.raises(Aborted, match="it is over"):
            left.execute("UPDATE account SET balance = 1")
        assert not tx["east"].wrote


def test_prepared_work_of_another_is_named(tm: TransactionManager, tmp_path: Path) -> None:
    stuck = SqliteParticipant(tmp_path / "east.db")
    stuck.begin("other.1.1").execute("UPDATE account SET balance = 7")
    stuck.prepare("other.1.1")
    with pytest.raises(InDoubt, match=r"other\.1\.1 is in doubt.*recover\(\)"):
        tm.transaction()["east"]
    assert tm.recover().resolved == []
    recovery = tm.recover("other")
    assert str(recovery) == "0 committed, 1 rolled back, 0 left\nother.1.1 aborted on east"
    assert balances(tm) == [100, 100]
    stuck.close()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("memory://", {}), InvalidValue, "at least one"),
        (("memory://", ["memory://"]), InvalidType, "mapping"),
        (("memory://", {"": "memory://"}), InvalidValue, "name is a string"),
        (("redis://", {"a": "memory://"}), InvalidValue, "redis://"),
        (("memory://", {"a": "nothing"}), InvalidValue, "nothing"),
        (
            ("memory://", {"a": "sqlite:///a.db", "b": "sqlite:///./a.db"}),
            InvalidValue,
            "'a' and 'b' are the same",
        ),
        (("memory://", {"a": "memory://same", "b": "memory://same"}), InvalidValue, "the same store"),
    ],
)
def test_bad_stores_are_refused(arguments: tuple[object, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TransactionManager(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "error"), [("", InvalidValue), ("a.b", InvalidValue), (1, InvalidType)])
def test_bad_names_are_refused(name: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"name a coordinator|coordinator's name"):
        TransactionManager("memory://", {"a": "memory://"}, name=name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, InvalidValue), (float("nan"), InvalidValue), ("1", InvalidType)]
)
def test_bad_timeouts_are_refused(timeout: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout"):
        TransactionManager("memory://", {"a": "memory://"}, timeout=timeout)  # type: ignore[arg-type]


def test_unknown_participants_and_gids_are_named(tm: TransactionManager) -> None:
    with pytest.raises(InvalidValue, match="no participant 'north'; known participants: east, west"):
        tm.transaction()["north"]
    with pytest.raises(InvalidValue, match="'x' is not a gid"):
        tm.outcome("x")
    with pytest.raises(InvalidValue, match=r"'main\.9\.1' is not from this decision store"):
        tm.outcome("main.9.1")


def test_what_another_decision_store_decides_is_left_alone_and_reported() -> None:
    east = MemoryParticipant()
    east.begin("main.9.1").put("key", "value")
    east.prepare("main.9.1")
    tm = TransactionManager("memory://", {"east": east})
    report = tm.recover()
    assert list(report) == []
    [left] = report.unresolved
    assert (left.gid, left.branch) == ("main.9.1", "east")
    assert "put the right one back" in str(left.error)
    assert east.recover() == ["main.9.1"]


def test_timeouts_are_those_of_its_transactions() -> None:
    class Slow(MemoryParticipant):
        def prepare(self, gid: str) -> Vote:
            time.sleep(0.02)
            return super().prepare(gid)

    stores = {"east": Slow(), "west": MemoryParticipant()}
    with TransactionManager("memory://timeouts", stores, timeouts=Timeouts(prepare=0.0)) as tm:
        tx = tm.transaction()
        for name in stores:
            tx[name].put("key", 1)
        with pytest.raises(Aborted, match="to prepare") as raised:
            tx.commit()
    assert raised.value.retryable
    assert stores["east"].snapshot() == stores["west"].snapshot() == {}
    assert stores["east"].recover() == stores["west"].recover() == []


def test_a_branch_that_could_not_begin_aborts_the_others_too() -> None:
    stores = {"east": MemoryParticipant(timeout=0.0), "west": MemoryParticipant()}
    with TransactionManager("memory://begun", stores) as tm:
        other = tm.transaction()
        other["east"].put("key", 1)
        tx = tm.transaction()
        tx["west"].put("key", 2)
        with pytest.raises(Aborted, match="'east' could not begin") as raised:
            tx["east"]
        assert raised.value.retryable
        with pytest.raises(Aborted, match="'east' voted against it"):  # though the application went on
            tx.commit()
        other.commit()
    assert stores["west"].snapshot() == {}
