# ruff: noqa: D102 -- the name of a test says what it shows
"""What every decision store must do, as a suite that anyone can run over a store of their own.

With pytest, subclass it under a name that starts with `Test`::

    class TestMyStore(DecisionStoreSuite):
        def open(self) -> DecisionStore:
            return MyStore(...)

        def restart(self, store: DecisionStore) -> DecisionStore: ...

It needs no pytest: `ringfence.testing.suites.failures(suite)` runs it and returns what failed.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from ringfence.testing.suites import refused
from ringfence.transactions.decisions import DecisionStore, Heuristic
from ringfence.transactions.outcome import Outcome

_COMMITTED, _ABORTED = Outcome.COMMITTED, Outcome.ABORTED


class DecisionStoreSuite(ABC):
    """The conformance suite of decision stores."""

    @abstractmethod
    def open(self) -> DecisionStore:
        """Return a new store, that has seen no coordinator and no decision yet."""

    @abstractmethod
    def restart(self, store: DecisionStore) -> DecisionStore:
        """Stop a store and return it started again, with what it keeps."""

    def test_epochs_count_the_starts_of_a_name(self) -> None:
        with self._opened() as store:
            assert store.epoch("main") == 0
            assert [store.begin_epoch("main") for _ in range(3)] == [1, 2, 3]
            assert store.epoch("main") == 3

    def test_names_are_independent(self) -> None:
        with self._opened() as store:
            store.begin_epoch("main")
            assert store.begin_epoch("other") == 1
            assert store.begin_epoch("MAIN") == 1

    def test_epochs_outlast_a_restart(self) -> None:
        store = self.open()
        store.begin_epoch("main")
        with self._opened(self.restart(store)) as again:
            assert again.begin_epoch("main") == 2

    def test_the_first_decision_stands(self) -> None:
        with self._opened() as store:
            store.begin_epoch("main")
            for gid, first, second in (
                ("main.1.1", _COMMITTED, _ABORTED),
                ("main.1.2", _ABORTED, _COMMITTED),
            ):
                assert store.get(gid) is None
                assert store.put_if_absent(gid, first) == first
                assert store.put_if_absent(gid, second) == first
                assert store.put_if_absent(gid, first) == first
                assert store.get(gid) == first

    def test_decisions_outlast_a_restart(self) -> None:
        store = self.open()
        store.begin_epoch("main")
        store.put_if_absent("main.1.1", _COMMITTED)
        with self._opened(self.restart(store)) as again:
            assert again.get("main.1.1") == _COMMITTED
            assert again.put_if_absent("main.1.1", _ABORTED) == _COMMITTED

    def test_a_stale_coordinator_is_recorded_as_aborted(self) -> None:
        with self._opened() as store:
            store.begin_epoch("main")
            store.begin_epoch("main")
            assert store.put_if_absent("main.1.1", _COMMITTED) == _ABORTED
            assert store.get("main.1.1") == _ABORTED
            assert store.put_if_absent("main.2.1", _COMMITTED) == _COMMITTED

    def test_what_was_committed_before_another_start_stays_so(self) -> None:
        with self._opened() as store:
            store.begin_epoch("main")
            store.put_if_absent("main.1.1", _COMMITTED)
            store.begin_epoch("main")
            assert store.put_if_absent("main.1.1", _COMMITTED) == _COMMITTED

    def test_another_name_can_be_aborted(self) -> None:
        with self._opened() as store:
            store.begin_epoch("main")
            assert store.put_if_absent("never-started.7.1", _ABORTED) == _ABORTED

    def test_many_are_put_as_one_by_one(self) -> None:
        with self._opened() as store:
            store.begin_epoch("main")
            store.put_if_absent("main.1.2", _COMMITTED)
            rows = [("main.1.1", _ABORTED), ("main.1.2", _ABORTED), ("main.1.3", _COMMITTED)]
            assert store.put_many(rows) == [_ABORTED, _COMMITTED, _COMMITTED]
            assert [store.get(gid) for gid, _ in rows] == [_ABORTED, _COMMITTED, _COMMITTED]
            assert store.put_many([]) == []
            store.begin_epoch("main")
            assert store.put_many([("main.1.4", _COMMITTED), ("main.2.1", _COMMITTED)]) == [
                _ABORTED,
                _COMMITTED,
            ]

    def test_decisions_are_listed_by_the_beginning_of_their_gids(self) -> None:
        with self._opened() as store:
            store.begin_epoch("main")
            rows = [("main.1.1", _COMMITTED), ("main.1.2", _ABORTED), ("maine.1.1", _ABORTED)]
            store.put_many(rows)
            assert list(store.decisions()) == rows
            assert list(store.decisions("main.")) == rows[:2]
            assert [list(store.decisions(prefix)) for prefix in ("m_in.", "%", "MAIN.")] == [[], [], []]

    def test_what_was_reported_is_kept_until_it_is_forgotten(self) -> None:
        store = self.open()
        assert store.heuristics() == []
        for branch in ("west", "east", "west"):
            store.report("main.1.1", branch, "rolled back by hand")
        store.report("main.1.2", "east", "committed by hand")
        with self._opened(self.restart(store)) as again:
            first = [Heuristic("main.1.1", branch, "rolled back by hand") for branch in ("east", "west")]
            last = Heuristic("main.1.2", "east", "committed by hand")
            assert again.heuristics() == [*first, last]
            assert [again.forget("main.1.1"), again.forget("main.1.1")] == [True, False]
            assert again.heuristics() == [last]

    def test_of_many_threads_one_decides(self) -> None:
        with self._opened() as store:
            store.begin_epoch("main")
            for seq in range(1, 11):
                answers = ask_at_once(store, f"main.1.{seq}", 6)
                assert len(set(answers)) == 1, answers
                assert store.get(f"main.1.{seq}") == answers[0]

    def test_bad_arguments_are_refused(self) -> None:
        with self._opened() as store:
            refused(ValueError, store.put_if_absent, "no gid", _COMMITTED)
            refused(ValueError, store.put_if_absent, "main.1.1", "perhaps")
            refused(ValueError, store.put_if_absent, "main.1.1", Outcome.IN_DOUBT)
            refused(ValueError, store.begin_epoch, "no name")

    def test_closing_twice_is_harmless(self) -> None:
        store = self.open()
        store.close()
        store.close()

    @contextmanager
    def _opened(self, store: DecisionStore | None = None) -> Iterator[DecisionStore]:
        store = store or self.open()
        try:
            yield store
        finally:
            store.close()


def ask_at_once(store: DecisionStore, gid: str, count: int) -> list[Outcome]:
    """Have `count` threads put different decisions at the same moment, and return what each was answered."""
    answers: list[Outcome] = []
    start = threading.Barrier(count)

    def ask(outcome: Outcome) -> None:
        start.wait()
        answers.append(store.put_if_absent(gid, outcome))

    threads = [threading.Thread(target=ask, args=((_COMMITTED, _ABORTED)[i % 2],)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
