"""Recovery that goes on in the background."""

import threading

import pytest

from ringfence.errors import InvalidValue, StoreError
from ringfence.transactions import Outcome, Recovery, TransactionManager
from ringfence.transactions.background import RecoveryWorker
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.participants.memory import MemoryParticipant

PATIENCE = 30.0


def prepared(participant: MemoryParticipant, gid: str) -> None:
    participant.begin(gid).put("key", gid)
    participant.prepare(gid)


class Watched:
    """Lets a test wait for rounds that resolved something."""

    def __init__(self) -> None:
        self.resolved: list[str] = []
        self._seen = threading.Semaphore(0)

    def __call__(self, recovery: Recovery) -> None:
        for branch in recovery:
            self.resolved.append(str(branch))
            self._seen.release()

    def wait(self) -> None:
        assert self._seen.acquire(timeout=PATIENCE)


@pytest.fixture
def decisions() -> MemoryDecisions:
    store = MemoryDecisions()
    store.begin_epoch("main")
    return store


def test_what_is_left_behind_is_resolved_again_and_again(decisions: MemoryDecisions) -> None:
    east = MemoryParticipant()
    decisions.put_if_absent("main.1.1", Outcome.COMMITTED)
    prepared(east, "main.1.1")
    watched = Watched()
    with TransactionManager(decisions, {"east": east}) as tm, tm.recover_forever(0.01, watched) as worker:
        watched.wait()
        prepared(east, "main.1.2")  # a request that was under way when its process died
        watched.wait()
        assert watched.resolved == ["main.1.1 committed on east", "main.1.2 aborted on east"]
        assert worker.rounds >= 1
    assert east.snapshot() == {"key": "main.1.1"}


def test_a_round_that_fails_is_made_up_for(decisions: MemoryDecisions) -> None:
    east = MemoryParticipant()
    prepared(east, "main.1.1")
    failed = threading.Event()
    begin_epoch = decisions.begin_epoch

    def unreachable(name: str) -> int:
        if not failed.is_set():
            failed.set()
            raise StoreError("gone")
        return begin_epoch(name)

    decisions.begin_epoch = unreachable  # type: ignore[method-assign]
    watched = Watched()
    with TransactionManager(decisions, {"east": east}) as tm:
        worker = tm.recover_forever(0.01, watched)
        watched.wait()
        worker.stop()
        assert failed.is_set()
        assert worker.error is None
        assert worker.last is not None


def test_why_a_round_failed_is_said(decisions: MemoryDecisions) -> None:
    def unreachable(name: str) -> int:
        raise StoreError("gone")

    decisions.begin_epoch = unreachable  # type: ignore[method-assign]
    with TransactionManager(decisions, {"east": MemoryParticipant()}) as tm:
        worker = tm.recover_forever(PATIENCE)
        worker.stop()
        assert str(worker.error) == "gone"
        assert (worker.rounds, worker.last) == (1, None)


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The errors that would have ended a thread."""
    found: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(str(args.exc_value)))
    return found


def test_an_error_of_who_is_shown_the_rounds_ends_none_of_them(
    decisions: MemoryDecisions, reported: list[str]
) -> None:
    shown = threading.Semaphore(0)

    def seen(_: Recovery) -> None:
        shown.release()
        raise ZeroDivisionError("in seen")

    with TransactionManager(decisions, {"east": MemoryParticipant()}) as tm:
        worker = tm.recover_forever(0.01, seen)
        assert all(shown.acquire(timeout=PATIENCE) for _ in range(2))
        worker.stop()
        assert str(worker.error) == "in seen"
        assert reported[:2] == ["in seen"] * 2


def test_an_error_that_nobody_expected_is_made_up_for(
    decisions: MemoryDecisions, reported: list[str]
) -> None:
    failures = [ZeroDivisionError("a bug")]

    class Faulty(MemoryParticipant):
        def recover(self, prefix: str = "") -> list[str]:
            if failures:
                raise failures.pop()
            return super().recover(prefix)

    shown = threading.Event()
    with TransactionManager(decisions, {"east": Faulty()}) as tm:
        tm.recover_forever(0.01, lambda _: shown.set())
        assert shown.wait(PATIENCE)
    assert reported == ["a bug"]


def test_who_is_shown_the_rounds_may_stop_them(decisions: MemoryDecisions) -> None:
    stopped = threading.Event()
    worker: list[RecoveryWorker] = []
    created = threading.Event()

    def seen(_: Recovery) -> None:
        assert created.wait(PATIENCE)
        worker[0].stop()
        stopped.set()

    with TransactionManager(decisions, {"east": MemoryParticipant()}) as tm:
        worker.append(tm.recover_forever(0.0, seen))
        created.set()
        assert stopped.wait(PATIENCE)
        worker[0].stop()
        assert (worker[0].rounds, worker[0].error) == (1, None)


def test_closing_the_manager_stops_it(decisions: MemoryDecisions) -> None:
    tm = TransactionManager(decisions, {"east": MemoryParticipant()})
    worker = tm.recover_forever(PATIENCE)
    tm.close()
    rounds = worker.rounds
    worker.stop()
    assert worker.rounds == rounds


def test_time_between_rounds_is_a_time(decisions: MemoryDecisions) -> None:
    tm = TransactionManager(decisions, {"east": MemoryParticipant()})
    with pytest.raises(InvalidValue, match="every is at least 0"):
        tm.recover_forever(-1)
