"""Transactions under a lease: a stale holder's never happens."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ringfence import Guard, LockManager
from ringfence.errors import Aborted, FenceRejected, InvalidType, InvalidValue
from ringfence.transactions import TransactionManager, Vote
from ringfence.transactions.participants.memory import MemoryParticipant


def lease(fence: int, name: str = "report") -> Any:
    return SimpleNamespace(name=name, fence=fence)


@pytest.fixture
def tm() -> TransactionManager:
    return TransactionManager("memory://guarded", {name: MemoryParticipant() for name in ("east", "west")})


def write(tm: TransactionManager, fence: int, value: int, *names: str) -> None:
    with tm.transaction() as tx:
        tx.guard(lease(fence))
        for name in names:
            tx[name].put("key", value)


def values(tm: TransactionManager) -> list[int | None]:
    with tm.transaction() as tx:
        return [tx[name].get("key") for name in ("east", "west")]


def test_a_stale_holder_changes_nothing(tm: TransactionManager) -> None:
    write(tm, 5, 1, "east", "west")
    for names in (("east", "west"), ("east",), ("west", "east")):
        with pytest.raises(Aborted, match=r"with fence 4 refused: fence 5 has already written") as raised:
            write(tm, 4, 2, *names)
        assert isinstance(raised.value.__cause__, FenceRejected)
        assert not raised.value.retryable
    assert values(tm) == [1, 1]


def test_one_participant_that_knows_a_newer_holder_is_enough(tm: TransactionManager) -> None:
    write(tm, 5, 1, "west")
    with pytest.raises(Aborted, match="'west' voted against it"):
        write(tm, 4, 2, "east", "west")
    assert values(tm) == [None, 1]


def test_the_holder_and_newer_ones_write_on(tm: TransactionManager) -> None:
    for value, fence in enumerate((5, 5, 6)):
        write(tm, fence, value, "east", "west")
    assert values(tm) == [2, 2]


def test_several_leases_are_all_compared(tm: TransactionManager) -> None:
    write(tm, 5, 1, "east")
    with tm.transaction() as tx:
        tx["east"].put("key", 2)
        tx.guard(lease(1, "another"))
        tx.guard(lease(5))
    tx = tm.transaction()
    tx["east"].put("key", 3)
    tx.guard(lease(9, "another"))
    tx.guard(lease(4))
    with pytest.raises(Aborted, match="with fence 4"):
        tx.commit()
    assert values(tm) == [2, None]


class Unguarded:
    """A participant that cannot compare fences."""

    capabilities = MemoryParticipant().capabilities

    def __init__(self) -> None:
        self._participant = MemoryParticipant()
        for name in ("begin", "prepare", "one_phase", "rollback", "close"):
            setattr(self, name, getattr(self._participant, name))


def test_a_participant_that_cannot_compare_is_named() -> None:
    tm = TransactionManager("memory://guarded", {"plain": Unguarded()})  # type: ignore[dict-item]
    with tm.transaction() as tx:
        tx.guard(lease(1))
        with pytest.raises(InvalidValue, match="'plain' cannot compare fences"):
            tx["plain"]
    tx = tm.transaction()
    tx["plain"].put("key", 1)
    with pytest.raises(InvalidValue, match="'plain' cannot compare fences"):
        tx.guard(lease(1))
    tx.rollback()


@pytest.mark.parametrize("wrong", [None, 5, SimpleNamespace(name="x"), lease("5"), lease(True)])  # type: ignore[arg-type]
def test_a_lease_has_a_name_and_a_fence(tm: TransactionManager, wrong: Any) -> None:
    with tm.transaction() as tx, pytest.raises(InvalidType, match="a name and a fence"):
        tx.guard(wrong)


def test_a_lock_and_a_guard_of_the_same_file_agree(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/east.db"
    with (
        LockManager.from_url(f"sqlite:///{tmp_path}/locks.db") as locks,
        TransactionManager(f"sqlite:///{tmp_path}/decisions.db", {"east": url}) as tm,
        Guard(url, "report") as guard,
    ):
        with tm.transaction() as tx:
            tx["east"].execute("CREATE TABLE report (body)")
        stale = locks.lock("report").acquire()
        assert stale is not None
        stale.release()
        with locks.lock("report") as held:
            with tm.transaction() as tx:
                tx.guard(held)
                tx["east"].execute("INSERT INTO report VALUES (1)")
            assert guard.mark() == held.fence
            with pytest.raises(FenceRejected), guard.write(stale.fence):
                pass
            with guard.write(held.fence + 1) as connection:
                connection.execute("UPDATE report SET body = 2")
            tx = tm.transaction()
            tx.guard(held)
            tx["east"].execute("UPDATE report SET body = 3")
            with pytest.raises(Aborted, match="has already written"):
                tx.commit()
        with tm.transaction() as tx:
            assert tx["east"].execute("SELECT body FROM report") == [(2,)]


def test_a_prepared_branch_has_left_its_fence_behind() -> None:
    east = MemoryParticipant()
    east.begin("main.1.1").put("key", 1)
    east.guard("main.1.1", "report", 5)
    assert east.prepare("main.1.1") is Vote.YES
    east.rollback("main.1.1")
    east.begin("main.1.2").put("key", 2)
    east.guard("main.1.2", "report", 4)
    with pytest.raises(FenceRejected):
        east.one_phase("main.1.2")
