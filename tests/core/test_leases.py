"""The lease table, owner ids and fence marks, compiled and interpreted alike."""

import math
import multiprocessing
import os
import threading
from types import ModuleType

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ringfence._core import IMPLEMENTATION, _twins
from ringfence._core import leases as chosen
from ringfence.errors import InvalidType, InvalidValue


def load(implementation: str) -> ModuleType:
    if implementation == IMPLEMENTATION:
        return chosen
    if implementation == "c" and _twins.extension("leases") is None:
        pytest.skip("not compiled here")
    return _twins.load("leases", implementation, prefix="other_twin")


@pytest.fixture(scope="module", params=["c", "python"])
def leases(request: pytest.FixtureRequest) -> ModuleType:
    return load(request.param)


def test_owner_ids_differ(leases: ModuleType) -> None:
    owners = [leases.new_owner() for _ in range(1000)]
    assert len(set(owners)) == 1000
    assert len(owners[0].partition("-")[0]) == 32  # 128 bits


def test_owner_ids_of_threads_differ(leases: ModuleType) -> None:
    owners: list[str] = []
    run_threads(8, lambda: owners.extend([leases.new_owner() for _ in range(500)]))
    assert len(set(owners)) == 4000


def test_owner_ids_of_a_forked_child_differ(leases: ModuleType) -> None:
    reader, writer = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        writer.send(leases.new_owner())
        os._exit(0)
    os.waitpid(child, 0)
    theirs, ours = reader.recv(), leases.new_owner()
    assert theirs.partition("-")[0] != ours.partition("-")[0]


def test_a_lease_is_due_for_renewal_then_lost_at_its_deadline(leases: ModuleType) -> None:
    table = leases.LeaseTable()
    table.add("a", 10.0, 4.0)
    assert table.due(3.9) == ([], [])
    assert table.due(4.0) == (["a"], [])
    assert table.due(9.9) == ([], [])
    assert table.due(10.0) == ([], ["a"])
    assert table.due(99.0) == ([], [])
    assert len(table) == 0


def test_a_lease_without_renewal_is_lost_all_the_same(leases: ModuleType) -> None:
    table = leases.LeaseTable()
    table.add("a", 10.0)
    assert table.next_due() == 10.0
    assert table.due(10.0) == ([], ["a"])
    assert table.next_due() == math.inf


def test_an_extension_never_shortens(leases: ModuleType) -> None:
    table = leases.LeaseTable()
    table.add("a", 10.0)
    assert table.extend("a", 7.0)
    assert table.deadline("a") == 10.0
    assert table.extend("a", 12.0)
    assert table.deadline("a") == 12.0


def test_what_is_not_in_the_table_has_ended(leases: ModuleType) -> None:
    table = leases.LeaseTable()
    assert table.deadline("a") == -math.inf
    assert not table.extend("a", 10.0)
    assert not table.postpone("a", 10.0)
    assert not table.discard("a")
    assert "a" not in table


def test_a_lost_lease_cannot_be_extended(leases: ModuleType) -> None:
    table = leases.LeaseTable()
    table.add("a", 10.0)
    table.due(10.0)
    assert not table.extend("a", 20.0)


def test_discarded_leases_leave_no_heap_behind(leases: ModuleType) -> None:
    table = leases.LeaseTable()
    table.add("stays", 1.0)
    for _ in range(10_000):
        table.add("a", 10.0, 5.0)
        table.discard("a")
    assert len(table._heap) < 200


@pytest.mark.parametrize("value", ["1", None, True])
def test_times_are_numbers(leases: ModuleType, value: object) -> None:
    table = leases.LeaseTable()
    with pytest.raises(InvalidType, match=f"not {value!r}"):
        table.add("a", value)
    with pytest.raises(InvalidType, match=f"not {value!r}"):
        table.add("a", 1.0, value)
    with pytest.raises(InvalidType, match=f"not {value!r}"):
        table.postpone("a", value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_deadline_is_finite(leases: ModuleType, value: float) -> None:
    table = leases.LeaseTable()
    with pytest.raises(InvalidValue):
        table.add("a", value)
    table.add("a", 1.0)
    with pytest.raises(InvalidValue):
        table.extend("a", value)
    assert table.deadline("a") == 1.0


def test_threads_lose_every_lease_exactly_once(leases: ModuleType) -> None:
    table = leases.LeaseTable()
    lost: list[int] = []

    def work() -> None:
        me = object()
        for number in range(500):
            table.add((me, number), float(number % 7), number % 3)
            if number % 5 == 0:
                table.extend((me, number), 8.0)
            lost.extend(table.due(6.0)[1])

    run_threads(8, work)
    lost.extend(table.due(8.0)[1])
    assert len(lost) == len(set(lost)) == 4000
    assert len(table) == 0


def test_marks_only_rise(leases: ModuleType) -> None:
    marks = leases.FenceMarks()
    assert marks.mark("r") == 0
    assert marks.admit("r", 5)
    assert marks.admit("r", 5)
    assert not marks.admit("r", 4)
    assert marks.mark("r") == 5
    assert marks.admit("other", 1)


@pytest.mark.parametrize("fence", ["5", 5.0, None, True])
def test_a_mark_takes_ints_only(leases: ModuleType, fence: object) -> None:
    with pytest.raises(InvalidType, match=r"lease\.fence"):
        leases.FenceMarks().admit("r", fence)


@pytest.mark.parametrize("fence", [-1, 2**63])
def test_a_mark_takes_63_bits(leases: ModuleType, fence: int) -> None:
    with pytest.raises(InvalidValue, match=str(fence)):
        leases.FenceMarks().admit("r", fence)


def test_marks_are_one_order_for_all_threads(leases: ModuleType) -> None:
    marks = leases.FenceMarks()
    admitted: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        for fence in range(2000):
            with lock:
                if marks.admit("r", fence):
                    admitted.append(fence)

    run_threads(4, work)
    assert admitted == sorted(admitted)


def test_the_table_agrees_with_a_naive_model(leases: ModuleType) -> None:
    class Machine(RuleBasedStateMachine):
        """A dict searched from end to end, beside the table."""

        def __init__(self) -> None:
            super().__init__()
            self.table = leases.LeaseTable()
            self.model: dict[str, list[float]] = {}  # lease -> [deadline, due]
            self.now = 0

        names = st.sampled_from("abcdef")
        spans = st.integers(0, 30)

        @rule(name=names, ttl=spans, wait=spans)
        def add(self, name: str, ttl: int, wait: int) -> None:
            self.table.add(name, self.now + ttl, self.now + wait)
            self.model[name] = [self.now + ttl, min(self.now + wait, self.now + ttl)]

        @rule(name=names, ttl=spans, wait=spans)
        def extend(self, name: str, ttl: int, wait: int) -> None:
            known = name in self.model
            assert self.table.extend(name, self.now + ttl, self.now + wait) == known
            if known:
                deadline = max(self.model[name][0], self.now + ttl)
                self.model[name] = [deadline, min(self.now + wait, deadline)]

        @rule(name=names, wait=spans)
        def postpone(self, name: str, wait: int) -> None:
            known = name in self.model
            assert self.table.postpone(name, self.now + wait) == known
            if known:
                self.model[name][1] = min(self.now + wait, self.model[name][0])

        @rule(name=names)
        def discard(self, name: str) -> None:
            assert self.table.discard(name) == (self.model.pop(name, None) is not None)

        @rule(step=spans)
        def pass_time(self, step: int) -> None:
            self.now += step
            renew, lost = self.table.due(self.now)
            up = {name for name, (_, due) in self.model.items() if due <= self.now}
            over = {name for name in up if self.model[name][0] <= self.now}
            assert (sorted(renew), sorted(lost)) == (sorted(up - over), sorted(over))
            for name in over:
                del self.model[name]
            for name in up - over:
                self.model[name][1] = self.model[name][0]

        @invariant()
        def same(self) -> None:
            assert set(self.table.leases()) == set(self.model)
            assert self.table.next_due() == min((due for _, due in self.model.values()), default=math.inf)
            assert all(self.table.deadline(name) == self.model[name][0] for name in self.model)

    run_state_machine_as_test(Machine, settings=settings(max_examples=60, deadline=None))


def run_threads(count: int, work: object) -> None:
    assert callable(work)
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
