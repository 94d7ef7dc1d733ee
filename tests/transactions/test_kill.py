"""SIGKILL before every single SQL statement of a commit, and of a recovery."""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from .bank import Acknowledge, Bank, MarkerBank, die_at_statement, forked, transfer

Work = Callable[[Bank, int, Acknowledge], None]


def two_phase(bank: Bank, number: int, acknowledge: Acknowledge) -> None:
    die_at_statement(number)
    transfer(bank.manager())
    acknowledge()


def one_phase(bank: Bank, number: int, acknowledge: Acknowledge) -> None:
    die_at_statement(number)
    with bank.manager().transaction() as tx:
        tx["west"].execute("SELECT * FROM account")
        tx["east"].execute("UPDATE account SET balance = 90")
    bank.manager("other").recover()
    acknowledge()


def recover(bank: Bank, number: int, acknowledge: Acknowledge) -> None:
    die_at_statement(number)
    bank.manager().recover()
    acknowledge()


@pytest.mark.parametrize(
    ("kind", "work", "after"),
    [(Bank, two_phase, (90, 110)), (Bank, one_phase, (90, 100)), (MarkerBank, two_phase, (90, 110))],
)
def test_killed_before_any_statement_of_a_commit(
    bank: Bank, folder: Path, kind: type[Bank], work: Work, after: tuple[int, int]
) -> None:
    bank = kind(bank.folder)
    seen = set()
    for number in itertools.count(1):
        copy = bank.copy(folder / "copy")
        status, acknowledged = forked(partial(work, copy, number))
        seen.add((copy.check_recovery("main.1.1", acknowledged, after), acknowledged))
        if status == 0:
            break
        assert status == -9
    assert number > 20
    assert seen == {("aborted", False), ("committed", False), ("committed", True)}


@pytest.mark.parametrize(
    ("kind", "ways"),
    [
        (Bank, 4),  # one prepared, two, two and the decision, one and the decision
        pytest.param(MarkerBank, 2, marks=pytest.mark.slow),  # one prepared, one and the decision
    ],
)
def test_killed_before_any_statement_of_a_recovery(
    bank: Bank, folder: Path, kind: type[Bank], ways: int
) -> None:
    killed = 0
    stages = left_behind(kind(bank.folder), folder)
    assert len(stages) == ways
    for left in stages:
        for number in itertools.count(1):
            copy = left.copy(folder / "copy")
            status, _ = forked(partial(recover, copy, number))
            copy.check_recovery("main.1.1", acknowledged=False)
            if status == 0:
                break
            assert status == -9
            killed += 1
    assert killed > 15 * ways


def left_behind(bank: Bank, folder: Path) -> list[Bank]:
    """One bank for each way in which a killed commit can leave prepared branches and a decision behind."""
    found: dict[object, Bank] = {}
    for number in itertools.count(1):
        copy = bank.copy(folder / f"left{number}")
        status, _ = forked(partial(two_phase, copy, number))
        if status == 0:
            return list(found.values())
        with copy.copy(folder / "look").manager() as tm:
            prepared = [tuple(participant.recover()) for participant in tm.participants.values()]
            if any(prepared):
                found.setdefault((*prepared, tm.decisions.get("main.1.1")), copy)
    raise AssertionError("unreachable")
