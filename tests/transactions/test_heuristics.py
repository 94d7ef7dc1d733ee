"""Branches that somebody ended by hand: reported, kept until somebody forgets them, and never hidden."""

import pytest

from ringfence.errors import Aborted, HeuristicOutcome, StoreError
from ringfence.transactions import Heuristic, Outcome, TransactionManager
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.outcome import Vote
from ringfence.transactions.participants.memory import MemoryParticipant
from ringfence.transactions.two_phase import Ending, agree, finish

from .scripted import Asked, branches

GID = "main.1.1"


class ByHand(MemoryParticipant):
    """Somebody ends its prepared branches behind the coordinator's back."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: dict[str, Outcome] = {}

    def end(self, gid: str, outcome: Outcome) -> None:
        (super().commit if outcome is Outcome.COMMITTED else super().rollback)(gid)
        self.ended[gid] = outcome

    def prepare(self, gid: str) -> Vote:
        vote = super().prepare(gid)
        if "west" in self.snapshot():
            self.end(gid, Outcome.ABORTED)
        return vote

    def commit(self, gid: str) -> None:
        if self.ended.get(gid) is Outcome.ABORTED:
            raise HeuristicOutcome(gid, "/somewhere/west.db", "rolled back by hand")
        super().commit(gid)

    def rollback(self, gid: str) -> None:
        if self.ended.get(gid) is Outcome.COMMITTED:
            raise HeuristicOutcome(gid, "/somewhere/west.db", "committed by hand")
        super().rollback(gid)


@pytest.fixture
def west() -> ByHand:
    return ByHand()


@pytest.fixture
def tm(west: ByHand) -> TransactionManager:
    return TransactionManager(MemoryDecisions(), {"east": MemoryParticipant(), "west": west})


def test_a_branch_rolled_back_by_hand_is_reported(tm: TransactionManager, west: ByHand) -> None:
    with west.alone() as branch:
        branch.put("west", "ends by hand")
    tx = tm.transaction()
    for name in ("west", "east"):
        tx[name].put("key", 1)
    with pytest.raises(HeuristicOutcome, match=r"branch 'west' of transaction .* rolled back by hand"):
        tx.commit()
    with tm.transaction() as after:
        assert [after[name].get("key") for name in ("east", "west")] == [1, None]
    assert tm.outcome(tx.gid) == "committed"
    assert tm.heuristics() == [Heuristic(tx.gid, "west", "rolled back by hand")]
    assert [tm.forget(tx.gid), tm.forget(tx.gid)] == [True, False]
    assert tm.heuristics() == []


def test_a_branch_committed_by_hand_is_reported_by_recovery(tm: TransactionManager, west: ByHand) -> None:
    tx = tm.transaction()
    for name in ("east", "west"):
        tx[name].put("key", 1)
        tm.participants[name].prepare(tx.gid)
    west.end(tx.gid, Outcome.COMMITTED)
    with TransactionManager(tm.decisions, tm.participants) as successor:
        recovery = successor.recover()
    assert [str(branch) for branch in recovery] == [f"{tx.gid} aborted on east"]
    [left] = recovery.unresolved
    assert isinstance(left.error, HeuristicOutcome)
    assert (left.gid, left.branch, left.error.branch) == (tx.gid, "west", "west")
    assert [str(found) for found in tm.heuristics()] == [f"{tx.gid} on west: committed by hand"]


def ending(answers: dict[str, list[object]]) -> Asked:
    asked = Asked({"prepare": [Vote.YES], "put_if_absent": [Outcome.COMMITTED], **answers})
    store = Ending("store")  # type: ignore[arg-type]
    asked.run(finish(GID, asked.run(agree(GID, branches(east=True, west=True, north=True), store)), store))
    return asked


def test_all_others_are_told_before_it_is_raised() -> None:
    by_hand = HeuristicOutcome(GID, "?", "rolled back by hand")
    asked = Asked({"commit east": [by_hand], "commit north": [StoreError("busy"), None]})
    steps = finish(GID, branches(east=True, west=True, north=True), Ending("store"))  # type: ignore[arg-type]
    with pytest.raises(HeuristicOutcome) as raised:
        asked.run(steps)
    assert raised.value.branch == "east"
    assert asked == ["commit east", "commit west", "commit north", "commit north", "report store"]


def test_a_rollback_that_came_too_late_is_no_mere_abort() -> None:
    by_hand = HeuristicOutcome(GID, "?", "committed by hand")
    with pytest.raises(HeuristicOutcome, match="committed by hand"):
        ending({"put_if_absent": [Outcome.ABORTED], "rollback west": [by_hand]})
    with pytest.raises(Aborted):
        ending({"put_if_absent": [Outcome.ABORTED]})


def test_an_error_says_when_it_could_not_be_reported() -> None:
    by_hand = HeuristicOutcome(GID, "?", "rolled back by hand")
    with pytest.raises(HeuristicOutcome) as raised:
        ending({"commit west": [by_hand], "report": [StoreError("gone")]})
    assert raised.value.__notes__ == ["the decision store could not keep this: gone"]
    with pytest.raises(HeuristicOutcome) as raised:
        ending({"commit west": [by_hand], "report": [StoreError("gone"), None]})
    assert not hasattr(raised.value, "__notes__")
