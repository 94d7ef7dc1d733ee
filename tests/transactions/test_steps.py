"""What happens between any two requests of a commit or a recovery: death, a rival, a long pause."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ringfence import protocol
from ringfence.errors import Aborted
from ringfence.protocol import Call
from ringfence.transactions import Outcome

from .bank import Acknowledge, Bank, die, forked, transfer

COMMIT = ["prepare", "prepare", "put_if_absent", "commit", "commit"]
RECOVERY = ["recover", "recover", "put_many", "commit", "commit"]
NAMED = [(when, number, name) for number, name in enumerate(COMMIT) for when in ("before", "after")]
NAMED_RECOVERY = [
    (when, number, name) for number, name in enumerate(RECOVERY) for when in ("before", "after")
]

perform = protocol._call


def at_step(when: str, number: int, name: str, happening: Callable[[], object]) -> Callable[[Call], Any]:
    """A driver in which something happens before or after the request of that number; others are only performed."""
    count = itertools.count()

    def performing(effect: Call) -> Any:
        counted = effect.operation not in ("begin_epoch", "carried_by")
        mine = counted and next(count) == number
        if mine:
            assert effect.operation == name
        if mine and when == "before":
            happening()
        try:
            return perform(effect)
        finally:
            if mine and when == "after":
                happening()

    return performing


def decided_by(when: str, number: int) -> str:
    """The decision row is the third request; before it nothing is decided, after it everything is."""
    return "committed" if number > 2 or (number == 2 and when == "after") else "aborted"


def killed_transfer(bank: Bank, when: str, number: int, name: str, acknowledge: Acknowledge) -> None:
    tm = bank.manager()
    setattr(protocol, "_call", at_step(when, number, name, die))  # noqa: B010
    transfer(tm)
    acknowledge()


def killed_recovery(bank: Bank, when: str, number: int, name: str, acknowledge: Acknowledge) -> None:
    tm = bank.manager()
    setattr(protocol, "_call", at_step(when, number, name, die))  # noqa: B010
    tm.recover()


@pytest.mark.parametrize(("when", "number", "name"), NAMED)
def test_killed_at_a_step_of_commit(bank: Bank, when: str, number: int, name: str) -> None:
    status, acknowledged = forked(partial(killed_transfer, bank, when, number, name))
    assert (status, acknowledged) == (-9, False)
    assert bank.check_recovery("main.1.1", acknowledged) == decided_by(when, number)


@pytest.mark.parametrize(("when", "number", "name"), NAMED_RECOVERY)
def test_killed_at_a_step_of_recovery(bank: Bank, when: str, number: int, name: str) -> None:
    assert forked(partial(killed_transfer, bank, "after", 2, "put_if_absent"))[0] == -9
    assert forked(partial(killed_recovery, bank, when, number, name))[0] == -9
    assert bank.check_recovery("main.1.1", acknowledged=False) == "committed"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(when: str, number: int, name: str, happening: Callable[[], object]) -> None:
        def alone() -> None:
            with monkeypatch.context() as others:
                others.setattr(protocol, "_call", perform)
                happening()

        monkeypatch.setattr(protocol, "_call", at_step(when, number, name, alone))

    return install


@pytest.mark.parametrize(("when", "number", "name"), NAMED)
def test_a_zombie_coordinator_is_harmless(
    bank: Bank, driver: Callable[..., None], when: str, number: int, name: str
) -> None:
    """It is taken for dead and recovered while it only paused; then it goes on, whatever it was about to do."""
    zombie = bank.manager()
    gid = str(zombie.transaction().gid).replace(".1.1", ".1.2")
    rival = bank.manager()

    def taken_over() -> None:
        assert not rival.recover().unresolved

    driver(when, number, name, taken_over)
    try:
        transfer(zombie)
        outcome = Outcome.COMMITTED
    except Aborted:
        outcome = Outcome.ABORTED
    zombie.close()
    rival.close()
    assert outcome == (
        "committed" if (number, when) > (2, "a") and (number, when) != (2, "before") else "aborted"
    )
    assert bank.check_recovery(gid, outcome is Outcome.COMMITTED) == outcome


@pytest.mark.parametrize(("when", "number", "name"), NAMED_RECOVERY)
@pytest.mark.parametrize("decided", [True, False])
def test_two_recoveries_at_once_agree(
    bank: Bank, driver: Callable[..., None], when: str, number: int, name: str, decided: bool
) -> None:
    point = ("after", 2, "put_if_absent") if decided else ("before", 2, "put_if_absent")
    assert forked(partial(killed_transfer, bank, *point))[0] == -9
    one, other = bank.manager(), bank.manager()
    if not decided:
        name = name.replace("commit", "rollback")
    driver(when, number, name, other.recover)
    assert not one.recover().unresolved
    one.close()
    other.close()
    assert bank.check_recovery("main.1.1", decided) == ("committed" if decided else "aborted")


@pytest.mark.parametrize(
    ("number", "step", "left"), [(1, "recover", False), (3, "rollback", False), (4, "rollback", True)]
)
def test_a_branch_prepared_after_the_scan_is_found_by_this_recovery_or_the_next(
    bank: Bank, driver: Callable[..., None], number: int, step: str, left: bool
) -> None:
    zombie, rival = bank.manager(), bank.manager()
    tx = zombie.transaction()
    for name in ("east", "west"):
        tx[name].execute("UPDATE account SET balance = 0")
    zombie.participants["east"].prepare(tx.gid)
    driver("after", number, step, lambda: zombie.participants["west"].prepare(tx.gid))
    assert str(rival.recover()) == f"0 committed, 1 rolled back, 0 left\n{tx.gid} aborted on east"
    assert [str(branch) for branch in rival.recover()] == [f"{tx.gid} aborted on west"] * left
    assert zombie.participants["west"].recover() == []
    assert zombie.decisions.put_if_absent(tx.gid, Outcome.COMMITTED) == "aborted"
    assert bank.balances() == (100, 100)
    zombie.close()
    rival.close()


def test_recovery_leaves_other_names_and_running_transactions_alone(bank: Bank) -> None:
    one, other = bank.manager("one"), bank.manager("other")
    mine = one.transaction()
    mine["east"].execute("UPDATE account SET balance = 1")
    one.participants["east"].prepare(mine.gid)
    assert one.recover().resolved == []
    assert other.recover().resolved == []
    assert one.outcome(mine.gid) == other.outcome(mine.gid) == "in doubt"
    mine.rollback()
    assert one.outcome(mine.gid) == "aborted"
    one.close()
    other.close()


def test_a_stale_coordinator_commits_no_more(bank: Bank) -> None:
    stale = bank.manager()
    tx = stale.transaction()
    for name in ("east", "west"):
        tx[name].execute("UPDATE account SET balance = 0")
    newer = bank.manager()
    newer.recover()
    with pytest.raises(Aborted, match="another coordinator of this name"):
        tx.commit()
    assert bank.balances() == (100, 100)
    assert newer.outcome(tx.gid) == stale.outcome(tx.gid) == "aborted"
    stale.close()
    newer.close()
