"""The decision inside the commit of one of the participants."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.errors import (
    Aborted,
    HeuristicOutcome,
    InDoubt,
    InvalidValue,
    OutcomeUnknown,
    StoreError,
    StoreTimeout,
)
from ringfence.protocol import Call, Effects, Parallel
from ringfence.transactions import Outcome, TransactionManager, Vote
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.participants.memory import MemoryParticipant
from ringfence.transactions.timeouts import DEFAULT, pauses
from ringfence.transactions.two_phase import Ending, agree, finish

from .scripted import Answers, Asked, branches

GID = "main.1.1"
BALANCE = "SELECT balance FROM account"


def commit(wrote: dict[str, bool]) -> Effects[None]:
    ending: Any = Ending("store", "east")  # type: ignore[arg-type]
    followers = yield from agree(GID, branches(**wrote), ending)
    if followers:
        yield from finish(GID, followers, ending)


def committing(answers: Answers, **wrote: bool) -> Asked:
    asked = Asked({"prepare": [Vote.YES], "decide": [Outcome.COMMITTED], **answers})
    asked.run(commit(wrote))
    return asked


def refused(error: type[Exception], answers: Answers, **wrote: bool) -> Asked:
    asked = Asked({"prepare": [Vote.YES], **answers})
    with pytest.raises(error):
        asked.run(commit(wrote))
    return asked


def test_the_marker_decides_when_the_others_are_prepared() -> None:
    asked = committing({}, east=True, west=True, north=True)
    assert asked == ["prepare west", "prepare north", "decide east", "commit west", "commit north"]


def test_a_marker_that_does_not_write_carries_no_decision() -> None:
    read_only = {"prepare east": [Vote.READ_ONLY], "put_if_absent": [Outcome.COMMITTED]}
    asked = committing(read_only, east=False, west=True, north=True)
    assert asked[3:] == ["put_if_absent store", "commit west", "commit north"]


def test_a_marker_that_alone_has_changed_something_needs_no_decision() -> None:
    assert committing({"prepare west": [Vote.READ_ONLY]}, east=True, west=True) == [
        "prepare west",
        "one_phase east",
    ]
    assert committing({}, east=True) == ["one_phase east"]


def test_a_decision_that_stands_is_followed() -> None:
    asked = refused(Aborted, {"decide": [Outcome.ABORTED]}, east=True, west=True)
    assert asked[2:] == ["rollback west", "rollback east"]


@pytest.mark.parametrize("error", [Aborted(GID, "no"), StoreTimeout("busy"), ValueError("bad")])
def test_a_marker_that_refuses_votes_against(error: Exception) -> None:
    asked = refused(Aborted, {"decide": [error]}, east=True, west=True)
    assert asked[2:] == ["rollback west", "rollback east"]


def test_a_marker_that_does_not_answer_is_settled_in_the_decision_store() -> None:
    lost = {"decide": [OutcomeUnknown("lost")]}
    asked = committing({**lost, "put_if_absent": [Outcome.COMMITTED]}, east=True, west=True)
    assert asked[2:] == ["put_if_absent store", "commit west"]
    asked = refused(Aborted, {**lost, "put_if_absent": [Outcome.ABORTED]}, east=True, west=True)
    assert asked[2:] == ["put_if_absent store", "rollback west", "rollback east"]


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), StoreTimeout("busy"), StoreError("gone")])
def test_when_nobody_answers_nobody_is_told_anything(error: Exception) -> None:
    answers = {"decide": [OutcomeUnknown("lost")], "put_if_absent": [error]}
    asked = refused(InDoubt, answers, east=True, west=True)
    again = len(list(pauses(DEFAULT.decide))) if isinstance(error, OutcomeUnknown) else 0
    assert asked[2:] == ["put_if_absent store"] * (1 + again)


def test_work_lost_by_a_marker_of_which_somebody_decided_that_it_commits_is_reported() -> None:
    lost = HeuristicOutcome(GID, "postgresql://there", "its work is lost")
    asked = Asked({"prepare": [Vote.YES], "decide": [lost]})
    with pytest.raises(HeuristicOutcome, match=r"branch 'east' .* its work is lost"):
        asked.run(commit({"east": True, "west": True, "north": True}))
    assert asked[2:] == ["decide east", "report store", "commit west", "commit north"]


def test_an_interrupt_while_the_marker_decides_leaves_the_others_prepared() -> None:
    steps = commit({"east": True, "west": True})
    next(steps)
    assert steps.send([Vote.YES]) == Call("east", "decide", (GID,))
    effect = steps.throw(KeyboardInterrupt())
    assert isinstance(effect, Parallel)
    assert [(call.operation, call.target) for call in effect.calls] == [("rollback", "east")]
    with pytest.raises(KeyboardInterrupt):
        steps.send([None])


@pytest.fixture
def urls(tmp_path: Path) -> dict[str, str]:
    for name in ("east", "west"):
        connection = sqlite3.connect(tmp_path / f"{name}.db")
        connection.execute("CREATE TABLE account (balance)")
        connection.execute("INSERT INTO account VALUES (100)")
        connection.commit()
        connection.close()
    return {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("east", "west")}


@pytest.fixture(params=["none", "url"])
def tm(urls: dict[str, str], request: pytest.FixtureRequest) -> Iterator[TransactionManager]:
    with TransactionManager(None if request.param == "none" else urls["east"], urls, timeout=0.2) as manager:
        yield manager


def move(tm: TransactionManager) -> str:
    with tm.transaction() as tx:
        tx["east"].execute("UPDATE account SET balance = balance - 10")
        tx["west"].execute("UPDATE account SET balance = balance + 10")
    return tx.gid


def balances(tm: TransactionManager) -> list[int]:
    with tm.transaction() as tx:
        return [tx[name].execute(BALANCE)[0][0] for name in ("east", "west")]


def test_two_files_of_which_one_decides(tm: TransactionManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tm.participants["east"], "prepare", None)
    gid = move(tm)
    monkeypatch.undo()
    assert balances(tm) == [90, 110]
    assert list(tm.decisions.decisions()) == [(gid, Outcome.COMMITTED)]
    assert tm.outcome(gid) == "committed"
    assert tm.recover().resolved == []


def test_a_stale_coordinator_decides_nothing(tm: TransactionManager, urls: dict[str, str]) -> None:
    tx = tm.transaction()
    with TransactionManager(urls["east"], urls, timeout=0.2) as newer:
        newer.recover()
    for name in ("east", "west"):
        tx[name].execute("UPDATE account SET balance = 0")
    with pytest.raises(Aborted, match="another coordinator of this name"):
        tx.commit()
    assert balances(tm) == [100, 100]
    assert tm.outcome(tx.gid) == "aborted"


def test_a_swallowed_error_in_the_marker_aborts_all(tm: TransactionManager) -> None:
    tx = tm.transaction()
    tx["west"].execute("UPDATE account SET balance = 0")
    tx["east"].execute("UPDATE account SET balance = 0")
    with pytest.raises(sqlite3.OperationalError):
        tx["east"].execute("UPDATE missing SET balance = 0")
    with pytest.raises(Aborted, match="'east' voted against it: a statement failed"):
        tx.commit()
    assert balances(tm) == [100, 100]
    assert list(tm.decisions.decisions()) == []


def test_memory_participants_carry_decisions_too() -> None:
    store = MemoryDecisions()
    east, west = MemoryParticipant(decisions=store), MemoryParticipant()
    with TransactionManager(None, {"west": west, "east": east}) as tm:
        assert tm.decisions is store
        with tm.transaction() as tx:
            tx["east"].put("key", 1)
            tx["west"].put("key", 1)
        assert east.snapshot() == west.snapshot() == {"key": 1}
        assert dict(store.decisions()) == {tx.gid: Outcome.COMMITTED}


def test_somebody_must_carry_the_decisions() -> None:
    with pytest.raises(InvalidValue, match="none of the participants carries decisions"):
        TransactionManager(None, {"east": MemoryParticipant()})
    with pytest.raises(InvalidValue, match="carries no decisions"):
        MemoryParticipant().decision_store()
