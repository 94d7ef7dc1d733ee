"""Transactions that are run again because they came in the way of others."""

from random import Random

import pytest

from ringfence.errors import Aborted, InDoubt, InvalidType, InvalidValue
from ringfence.transactions import Transaction, TransactionManager
from ringfence.transactions.participants.memory import MemoryParticipant
from ringfence.transactions.retrying import FIRST, LONGEST, backoff, retrying

from .scripted import Asked

GID = "main.1.1"
DEADLOCK = Aborted(GID, "deadlock", retryable=True)


class Attempt:
    """Fails with each of `errors`, then returns 42."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.runs = 0

    def __call__(self, tx: Transaction | None = None) -> int:
        self.runs += 1
        if tx is not None:
            tx["east"].put("runs", self.runs)
        if self.errors:
            raise self.errors.pop(0)
        return 42

    def __str__(self) -> str:
        return "attempt"


def test_what_came_in_the_way_is_run_again_after_a_pause() -> None:
    asked = Asked({"__call__": [DEADLOCK, DEADLOCK, 42]})
    assert asked.run(retrying(Attempt(), 3, Random(1))) == 42
    assert asked == ["__call__ attempt"] * 3
    assert asked.slept == list(backoff(2, Random(1)))


def test_it_is_given_up_after_so_many_retries() -> None:
    asked = Asked({"__call__": [DEADLOCK]})
    with pytest.raises(Aborted, match="deadlock"):
        asked.run(retrying(Attempt(), 2, Random(1)))
    assert len(asked) == 3


@pytest.mark.parametrize("error", [Aborted(GID, "no"), InDoubt(GID, "lost"), ZeroDivisionError()])
def test_nothing_else_is_run_again(error: Exception) -> None:
    asked = Asked({"__call__": [error]})
    with pytest.raises(type(error)):
        asked.run(retrying(Attempt(), 2, Random(1)))
    assert len(asked) == 1


def test_pauses_grow_to_a_bound_and_differ() -> None:
    drawn = [list(backoff(12, Random(seed))) for seed in range(200)]
    for number, pauses in enumerate(zip(*drawn, strict=True)):
        bound = min(LONGEST, FIRST * 2**number)
        assert 0 <= min(pauses) < bound / 4
        assert bound * 3 / 4 < max(pauses) <= bound


def test_a_manager_runs_it_in_a_new_transaction_each_time() -> None:
    attempt = Attempt(DEADLOCK, DEADLOCK)
    east = MemoryParticipant()
    with TransactionManager("memory://retrying", {"east": east}, random=Random(1)) as tm:
        assert tm.run(attempt) == 42
    assert east.snapshot() == {"runs": 3}


def test_a_manager_gives_up_and_leaves_nothing() -> None:
    east = MemoryParticipant()
    with TransactionManager("memory://retrying", {"east": east}, random=Random(1)) as tm:
        for error, runs in ((DEADLOCK, 2), (ZeroDivisionError(), 1)):
            attempt = Attempt(*[error] * 5)
            with pytest.raises(type(error)):
                tm.run(attempt, retries=1)
            assert attempt.runs == runs
    assert east.snapshot() == {}


def test_a_branch_that_cannot_begin_in_time_is_run_again() -> None:
    east = MemoryParticipant(timeout=0.0)
    with TransactionManager("memory://retrying", {"east": east}, random=Random(1)) as tm:
        other = tm.transaction()
        other["east"].put("key", 1)
        runs = []

        def work(tx: Transaction) -> None:
            runs.append(tx.gid)
            if len(runs) == 2:
                other.commit()
            tx["east"].put("key", 2)

        tm.run(work)
    assert east.snapshot() == {"key": 2}
    assert len(set(runs)) == 2


@pytest.mark.parametrize(("retries", "error"), [(-1, InvalidValue), (1.5, InvalidType), (True, InvalidType)])
def test_a_number_of_retries_is_one(retries: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="retries is"):
        TransactionManager("memory://retrying", {"east": "memory://"}).run(Attempt(), retries)  # type: ignore[arg-type]
