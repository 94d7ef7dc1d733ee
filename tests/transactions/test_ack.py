"""Commits that return as soon as they are decided."""

import threading

import pytest

from ringfence.errors import InvalidValue, OutcomeUnknown, StoreError
from ringfence.transactions import TransactionManager
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.participants.memory import MemoryParticipant
from ringfence.transactions.timeouts import DEFAULT, pauses

PATIENCE = 30.0


class Held(MemoryParticipant):
    """Commits when it is let, and may fail to."""

    def __init__(self) -> None:
        super().__init__(timeout=PATIENCE)
        self.let = threading.Event()
        self.failures: list[Exception] = []

    def commit(self, gid: str) -> None:
        assert self.let.wait(PATIENCE)
        if self.failures:
            raise self.failures.pop()
        super().commit(gid)


def transfer(tm: TransactionManager) -> str:
    with tm.transaction() as tx:
        tx["east"].put("key", tx.gid)
        tx["west"].put("key", tx.gid)
    return tx.gid


def let(*participants: Held) -> None:
    for participant in participants:
        participant.let.set()


def test_a_commit_returns_once_it_is_decided() -> None:
    east, west = Held(), Held()
    decisions = MemoryDecisions()
    with TransactionManager(decisions, {"east": east, "west": west}, ack="decided") as tm:
        gid = transfer(tm)
        assert tm.outcome(gid) == decisions.get(gid) == "committed"
        assert east.snapshot() == west.snapshot() == {}
        let(east, west)
        with tm.transaction() as tx:  # waits until the one before has been applied
            assert [tx[name].get("key") for name in ("east", "west")] == [gid, gid]


def test_closing_finishes_what_is_decided() -> None:
    east, west = Held(), Held()
    tm = TransactionManager(MemoryDecisions(), {"east": east, "west": west}, ack="decided")
    gid = transfer(tm)
    later = threading.Timer(0.02, let, (east, west))
    later.start()
    tm.close()
    tm.close()
    later.join(PATIENCE)
    assert east.snapshot() == west.snapshot() == {"key": gid}


def test_who_does_not_answer_is_told_again() -> None:
    east, west = Held(), Held()
    west.failures += [StoreError("gone"), OutcomeUnknown("gone again")]
    with TransactionManager(MemoryDecisions(), {"east": east, "west": west}, ack="decided") as tm:
        gid = transfer(tm)
        let(east, west)
    assert west.recover() == []
    assert east.snapshot() == west.snapshot() == {"key": gid}


@pytest.mark.parametrize("failure", [StoreError("gone"), ZeroDivisionError("a bug")])
def test_what_cannot_be_told_is_left_to_recovery(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    east, west = Held(), Held()
    decisions = MemoryDecisions()
    west.failures += [failure] * (1 + len(list(pauses(DEFAULT.commit))))
    with TransactionManager(decisions, {"east": east, "west": west}, ack="decided") as tm:
        gid = transfer(tm)
        let(east, west)
    assert west.recover() == [gid]
    assert reported == ([] if isinstance(failure, StoreError) else [failure])
    west.failures.clear()
    with TransactionManager(decisions, {"east": east, "west": west}) as tm:
        assert tm.recover().committed == 1
        assert tm.recover().resolved == []
    assert east.snapshot() == west.snapshot() == {"key": gid}


def test_recovery_leaves_to_the_background_what_that_is_about_to_tell() -> None:
    east, west = Held(), Held()
    with TransactionManager(MemoryDecisions(), {"east": east, "west": west}, ack="decided") as tm:
        transfer(tm)
        assert tm.recover().resolved == []
        let(east, west)


def test_another_ack_is_refused() -> None:
    with pytest.raises(InvalidValue, match="ack is 'applied' or 'decided', not 'soon'"):
        TransactionManager("memory://", {"a": "memory://a"}, ack="soon")  # type: ignore[arg-type]
