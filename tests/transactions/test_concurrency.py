"""Threads, processes and forks."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Literal

import pytest

from ringfence.errors import (
    Aborted,
    BackendUnavailable,
    InvalidValue,
)
from ringfence.transactions import TransactionManager

from .bank import Acknowledge, Bank, MarkerBank, forked, transfer


def in_child(tm: TransactionManager, tx: object, acknowledge: Acknowledge) -> None:
    with pytest.raises(InvalidValue, match="open the manager or cluster anew"):
        tm.transaction()
    with pytest.raises(Aborted, match="was forked"):
        tx["east"].execute("SELECT 1")  # type: ignore[index]
    tx.rollback()  # type: ignore[attr-defined]
    own = TransactionManager("memory://", {"east": f"sqlite:///{tm.participants['east'].path}"})  # type: ignore[attr-defined]
    with pytest.raises(BackendUnavailable, match="was open when this process was forked"):
        own.transaction()["east"]
    tm.close()
    acknowledge()


def test_a_forked_child_harms_nothing(bank: Bank) -> None:
    with bank.manager() as tm:
        transfer(tm)
        with tm.transaction() as tx:
            tx["east"].execute("UPDATE account SET balance = balance - 10")
            assert forked(partial(in_child, tm, tx)) == (0, True)
            tx["west"].execute("UPDATE account SET balance = balance + 10")
        assert bank.balances() == (80, 120)


def deposit(tm: TransactionManager, times: int) -> None:
    for _ in range(times):
        with tm.transaction() as tx:
            for name in ("east", "west"):
                [(balance,)] = tx[name].execute("SELECT balance FROM account")
                tx[name].execute("UPDATE account SET balance = ?", (balance + 1,))


def together(works: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("ack", ["applied", "decided"])
@pytest.mark.parametrize("kind", [Bank, MarkerBank])
def test_threads_lose_no_update(bank: Bank, kind: type[Bank], ack: Literal["applied", "decided"]) -> None:
    with kind(bank.folder).manager(timeout=30, ack=ack) as tm, tm.recover_forever(0.001):
        together([partial(deposit, tm, 5)] * 4)
    assert bank.balances() == (120, 120)


def test_processes_lose_no_update(bank: Bank) -> None:
    def child(name: str, acknowledge: Acknowledge) -> None:
        deposit(bank.manager(name, timeout=30), 5)
        acknowledge()

    together([partial(forked, partial(child, f"child-{number}")) for number in range(4)])
    assert bank.balances() == (120, 120)


def test_two_that_wait_for_each_other_end(bank: Bank) -> None:
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def cross(tm: TransactionManager, first: str, second: str) -> None:
        try:
            with tm.transaction() as tx:
                tx[first].execute("UPDATE account SET balance = balance + 1")
                barrier.wait()
                tx[second].execute("UPDATE account SET balance = balance + 1")
            outcomes.append("committed")
        except Aborted:
            outcomes.append("aborted")

    with bank.manager(timeout=0.2) as tm:
        together([partial(cross, tm, "east", "west"), partial(cross, tm, "west", "east")])
        committed = outcomes.count("committed")
        assert committed < 2
        assert bank.balances() == (100 + committed, 100 + committed)
