"""The protocol by itself: which requests it makes, in which order, and what it makes of the answers."""

from typing import Any

import pytest

from ringfence.errors import (
    Aborted,
    HeuristicOutcome,
    InDoubt,
    InvalidType,
    InvalidValue,
    OutcomeUnknown,
    StoreError,
    StoreTimeout,
)
from ringfence.protocol import Call, Effects, Parallel
from ringfence.transactions import Outcome, Vote
from ringfence.transactions.timeouts import DEFAULT, Timeouts, pauses
from ringfence.transactions.two_phase import Ending, Enlisted, agree, compare_fences, finish

from .scripted import Answers, Asked, branches

GID = "main.1.1"
ATTEMPTS = 1 + len(list(pauses(DEFAULT.decide)))


def commit(
    gid: str, branches: list[Enlisted], store: Any, marker: str | None = None, timeouts: Timeouts = DEFAULT
) -> Effects[None]:
    ending = Ending(store, marker, timeouts)
    followers = yield from agree(gid, branches, ending)
    if followers:
        yield from finish(gid, followers, ending)


def committing(answers: Answers, marker: str | None = None, **wrote: bool) -> Asked:
    asked = Asked({"prepare": [Vote.YES], "put_if_absent": [Outcome.COMMITTED], **answers})
    asked.run(commit(GID, branches(**wrote), "store", marker))
    return asked


def test_the_decision_comes_between_prepare_and_commit() -> None:
    asked = committing({}, east=True, west=True)
    assert asked == ["prepare east", "prepare west", "put_if_absent store", "commit east", "commit west"]


def test_nothing_to_do() -> None:
    assert committing({}) == []


def test_one_writer_commits_in_one_phase() -> None:
    assert committing({}, east=True) == ["one_phase east"]


def test_readers_are_left_out_of_the_second_phase() -> None:
    read_only = {"prepare north": [Vote.READ_ONLY], "prepare south": [Vote.READ_ONLY]}
    assert committing(read_only, north=False) == ["prepare north"]
    asked = committing(read_only, north=False, east=True, south=False)
    assert asked == ["prepare north", "prepare south", "one_phase east"]
    asked = committing(read_only, north=False, east=True, west=True)
    assert asked[3:] == ["put_if_absent store", "commit east", "commit west"]


@pytest.mark.parametrize("error", [Aborted(GID, "no"), OutcomeUnknown("lost"), ValueError("bad"), None])
def test_anything_but_a_vote_aborts(error: Exception | None) -> None:
    asked = Asked({"prepare": [Vote.YES], "prepare west": [error]})
    with pytest.raises(Aborted, match="'west' voted against it"):
        asked.run(commit(GID, branches(east=True, west=True), "store"))
    assert asked == ["prepare east", "prepare west", "rollback east", "rollback west"]


def test_the_decision_that_stands_is_followed() -> None:
    asked = Asked({"prepare": [Vote.YES], "put_if_absent": [Outcome.ABORTED]})
    with pytest.raises(Aborted, match="or recovery, decided so"):
        asked.run(commit(GID, branches(east=True, west=True), "store"))
    assert asked[3:] == ["rollback east", "rollback west"]


def test_a_decision_that_was_refused_aborts() -> None:
    asked = Asked({"prepare": [Vote.YES], "put_if_absent": [StoreTimeout("busy")]})
    with pytest.raises(Aborted, match="the decision store refused: busy"):
        asked.run(commit(GID, branches(east=True, west=True), "store"))
    assert asked[3:] == ["rollback east", "rollback west"]


@pytest.mark.parametrize("later", [OutcomeUnknown("lost"), StoreTimeout("busy"), StoreError("full")])
def test_an_unknown_decision_tells_nobody_anything(later: Exception) -> None:
    asked = Asked({"prepare": [Vote.YES], "put_if_absent": [OutcomeUnknown("lost"), later]})
    with pytest.raises(InDoubt, match="the decision store did not answer"):
        asked.run(commit(GID, branches(east=True, west=True), "store"))
    assert asked[2:] == ["put_if_absent store"] * ATTEMPTS


def test_an_unknown_decision_is_asked_again() -> None:
    lost = {"put_if_absent": [OutcomeUnknown("lost"), StoreTimeout("busy"), Outcome.COMMITTED]}
    asked = committing(lost, east=True, west=True)
    assert asked[2:] == [*["put_if_absent store"] * 3, "commit east", "commit west"]


def test_branches_that_do_not_answer_are_told_again() -> None:
    asked = committing(
        {"commit west": [StoreTimeout("busy"), OutcomeUnknown("lost"), None]}, east=True, west=True
    )
    assert asked[3:] == ["commit east", "commit west", "commit west", "commit west"]


def test_a_branch_that_never_answers_is_left_to_recovery() -> None:
    asked = committing({"commit west": [StoreError("gone")]}, east=True, west=True)
    assert asked.count("commit west") == ATTEMPTS


def test_a_branch_that_cannot_follow_is_reported() -> None:
    with pytest.raises(HeuristicOutcome):
        committing({"commit west": [HeuristicOutcome(GID, "west", "dropped")]}, east=True, west=True)


@pytest.mark.parametrize(
    ("settled", "raised"),
    [(Outcome.COMMITTED, None), (Outcome.ABORTED, Aborted), (StoreError("gone"), InDoubt)],
)
def test_an_unknown_one_phase_commit_is_settled(settled: Any, raised: type[Exception] | None) -> None:
    answers = {"one_phase": [OutcomeUnknown("lost")], "settle": [settled]}
    if raised is None:
        assert committing(answers, east=True)[:2] == ["one_phase east", "settle east"]
    else:
        with pytest.raises(raised):
            committing(answers, east=True)


def test_an_interrupt_while_preparing_rolls_back_and_goes_on() -> None:
    steps = commit(GID, branches(east=True, west=True), "store")
    next(steps)
    effect = steps.throw(KeyboardInterrupt())
    assert isinstance(effect, Parallel)
    assert [call.operation for call in effect.calls] == ["rollback", "rollback"]
    with pytest.raises(KeyboardInterrupt):
        steps.send([None, None])


def test_an_interrupt_while_comparing_fences_rolls_back_and_goes_on() -> None:
    steps = compare_fences(GID, branches(east=True, west=True), [("report", 5)], Ending("store"))  # type: ignore[arg-type]
    assert next(steps) == Call("east", "guard", (GID, "report", 5))
    effect = steps.throw(KeyboardInterrupt())
    assert isinstance(effect, Parallel)
    assert [call.operation for call in effect.calls] == ["rollback", "rollback"]
    with pytest.raises(KeyboardInterrupt):
        steps.send([None, None])


def test_an_interrupt_while_deciding_leaves_everything_prepared() -> None:
    steps = commit(GID, branches(east=True, west=True), "store")
    next(steps)
    assert steps.send([Vote.YES, Vote.YES]) == Call("store", "put_if_absent", (GID, Outcome.COMMITTED))
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt())


def test_a_reader_that_turns_out_to_have_written_needs_a_decision() -> None:
    answers = {"prepare west": [Vote.YES], "decide east": [Outcome.COMMITTED]}
    asked = committing(answers, east=True, west=False)
    assert asked == ["prepare west", "prepare east", "put_if_absent store", "commit west", "commit east"]
    asked = committing(answers, marker="east", east=True, west=False)
    assert asked == ["prepare west", "decide east", "commit west"]


def test_a_writer_that_turns_out_to_have_changed_nothing_is_left_out() -> None:
    answers = {"prepare east": [Vote.READ_ONLY], "prepare west": [Vote.READ_ONLY]}
    assert committing(answers, east=True, west=True) == ["prepare east", "prepare west"]
    asked = committing({"prepare east": [Vote.READ_ONLY]}, east=True, west=True)
    assert asked[2:] == ["put_if_absent store", "commit west"]


@pytest.mark.parametrize(
    ("vote", "retryable"),
    [
        (Aborted(GID, "deadlock", retryable=True), True),
        (Aborted(GID, "no"), False),
        (StoreTimeout("busy"), True),
        (StoreError("gone"), False),
        (Vote.NO, False),
    ],
)
def test_an_abort_says_whether_it_may_succeed_soon(vote: Any, retryable: bool) -> None:
    for answers, wrote in (
        ({"prepare": [Vote.YES], "prepare west": [vote]}, {"east": True, "west": True}),
        ({"one_phase": [vote]}, {"east": True}),
    ):
        if vote is Vote.NO and "prepare" not in answers:
            continue
        with pytest.raises(Aborted) as raised:
            Asked(answers).run(commit(GID, branches(**wrote), "store"))
        assert raised.value.retryable is retryable


@pytest.mark.parametrize(("votes_at", "aborted"), [(2.0, False), (2.1, True)])
def test_votes_that_come_too_late_are_votes_against(votes_at: float, aborted: bool) -> None:
    asked = Asked({"prepare": [Vote.YES], "put_if_absent": [Outcome.COMMITTED], "now": [1.0, votes_at]})
    steps = commit(GID, branches(east=True, west=True), "store", timeouts=Timeouts(prepare=1.0))
    if not aborted:
        asked.run(steps)
        assert asked[-1] == "commit west"
        return
    with pytest.raises(Aborted, match=r"more than 1\.0 s to prepare"):
        asked.run(steps)
    assert asked[2:] == ["rollback east", "rollback west"]


def test_how_long_is_asked_again_is_given() -> None:
    asked = Asked({"prepare": [Vote.YES], "put_if_absent": [OutcomeUnknown("lost")]})
    timeouts = Timeouts(decide=1.4)
    with pytest.raises(InDoubt):
        asked.run(commit(GID, branches(east=True, west=True), "store", timeouts=timeouts))
    assert asked.slept == [0.0, 0.02, 0.1, 0.5, 0.5]
    assert list(pauses(0.0)) == [0.0]
    assert list(pauses(0.1)) == [0.0, 0.02]


@pytest.mark.parametrize("wrong", [{"prepare": -1}, {"decide": float("inf")}, {"commit": float("nan")}])
def test_bad_timeouts_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidValue, match=f"{next(iter(wrong))} is at least 0 and finite"):
        Timeouts(**wrong)


def test_timeouts_are_numbers() -> None:
    with pytest.raises(InvalidType, match="decide is a number of seconds"):
        Timeouts(decide="1")  # type: ignore[arg-type]
