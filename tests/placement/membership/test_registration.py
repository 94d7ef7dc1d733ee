"""Registrations under a clock that a test moves: renewed, lapsed, replaced, closed."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from ringfence.errors import InvalidType, StoreDamaged, StoreError, StoreTimeout
from ringfence.placement import Node
from ringfence.placement.membership import Entry, Membership, Registration, Standing
from ringfence.placement.membership.registration import Registrar
from ringfence.placement.membership.sources.memory import MemoryGroup, MemorySource
from ringfence.testing import FakeClock


class Flaky(MemorySource):
    """Fails when it is told to, before or after it has done what was asked."""

    before: Exception | None = None
    after: Exception | None = None
    renewals = 0

    def enter(self, entry: Entry) -> int | None:
        if self.before is not None:
            raise self.before
        fence = super().enter(entry)
        if self.after is not None:
            raise self.after
        return fence

    def renew(self, entries: Sequence[Entry]) -> list[Standing]:
        self.renewals += 1
        if self.before is not None:
            raise self.before
        return super().renew(entries)

    def leave(self, entry: Entry) -> None:
        if self.before is not None:
            raise self.before
        super().leave(entry)


class Process:
    """One process that registers with a group; it is paused as long as nobody calls `turn`."""

    def __init__(self, group: MemoryGroup, clock: FakeClock) -> None:
        self.source = Flaky(group)
        self.registrar = Registrar(self.source, clock)
        self.lost: list[Registration] = []

    def register(self, name: str, ttl: float = 9.0) -> Registration:
        registration = self.registrar.register(Node(name), ttl)
        registration.on_lost(self.lost.append)
        return registration

    def turn(self) -> None:
        self.registrar.renew_due()


def failure(of: Any) -> Exception | None:
    """Return `of.error` as it is now; a property is not what it was a moment ago."""
    error: Exception | None = of.error
    return error


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def group(clock: FakeClock) -> MemoryGroup:
    return MemoryGroup(clock)


@pytest.fixture
def process(group: MemoryGroup, clock: FakeClock) -> Process:
    return Process(group, clock)


def listed(group: MemoryGroup) -> list[str]:
    return [member.node.name for member in group.members()]


def test_it_is_renewed_after_each_third_of_its_ttl(
    group: MemoryGroup, clock: FakeClock, process: Process
) -> None:
    registration = process.register("a")
    fence = registration.fence
    for _ in range(100):
        clock.advance(1.0)
        process.turn()
        assert registration.active
    assert (registration.fence, process.source.renewals, process.lost) == (fence, 33, [])
    assert listed(group) == ["a"]


def test_it_is_dropped_when_it_is_not_renewed(group: MemoryGroup, clock: FakeClock, process: Process) -> None:
    registration = process.register("a")
    clock.advance(8.9)
    assert listed(group) == ["a"]
    clock.advance(0.1)
    assert listed(group) == []
    assert not registration.active


def test_all_that_is_due_is_renewed_in_one_request(clock: FakeClock, process: Process) -> None:
    registrations = [process.register(f"node-{number}") for number in range(50)]
    clock.advance(3.0)
    process.turn()
    assert process.source.renewals == 1
    clock.advance(8.0)
    assert all(registration.active for registration in registrations)


def test_one_that_was_paused_past_its_lease_learns_and_registers_again(
    group: MemoryGroup, clock: FakeClock, process: Process
) -> None:
    registration = process.register("a")
    fence = registration.fence
    clock.advance(60)
    process.turn()
    assert process.lost == [registration]
    assert registration.active
    assert not registration.replaced
    assert registration.fence > fence
    assert listed(group) == ["a"]


def test_the_newer_of_two_wins_and_the_older_learns(
    group: MemoryGroup, clock: FakeClock, process: Process
) -> None:
    older = process.register("a")
    other = Process(group, clock)
    newer = other.register("a")
    assert newer.fence > older.fence
    for _ in range(10):
        clock.advance(3.0)
        process.turn()
        other.turn()
    assert process.lost == [older]
    assert (older.replaced, older.active) == (True, False)
    assert (newer.replaced, newer.active, other.lost) == (False, True, [])
    older.close()  # takes out nothing
    assert listed(group) == ["a"]
    newer.close()
    assert listed(group) == []


def test_one_that_was_paused_does_not_take_its_name_back(
    group: MemoryGroup, clock: FakeClock, process: Process
) -> None:
    older = process.register("a")
    clock.advance(60)
    newer = Process(group, clock).register("a")
    process.turn()
    assert older.replaced
    assert [member.fence for member in group.members()] == [newer.fence]


def test_one_that_asks_again_finds_a_name_taken_in_between(
    group: MemoryGroup, clock: FakeClock, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = process.register("a")
    clock.advance(60)
    enter = process.source.enter
    other = Process(group, clock)

    def enter_late(entry: Entry) -> int | None:
        other.register("a")
        return enter(entry)

    monkeypatch.setattr(process.source, "enter", enter_late)
    process.turn()
    assert older.replaced
    assert process.lost == [older]


def test_a_source_that_lost_its_data_gets_all_back(
    group: MemoryGroup, clock: FakeClock, process: Process
) -> None:
    registrations = [process.register(name) for name in "abc"]
    group.clear()
    clock.advance(3.0)
    process.turn()
    assert listed(group) == ["a", "b", "c"]
    assert process.lost == registrations
    assert all(registration.active for registration in registrations)


def test_a_failed_renewal_is_tried_again_soon(group: MemoryGroup, clock: FakeClock, process: Process) -> None:
    registration = process.register("a")
    process.source.before = StoreTimeout("no answer")
    clock.advance(3.0)
    process.turn()
    assert registration.error is process.source.before
    assert registration.active
    process.source.before = None
    clock.advance(0.5)
    process.turn()
    assert failure(registration) is None
    clock.advance(8.0)
    assert registration.active


def test_what_is_damaged_under_one_name_does_not_keep_others_from_being_renewed(
    clock: FakeClock, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renew(source: Flaky, entries: Sequence[Entry]) -> list[Standing]:
        if any(entry.node.name == "damaged" for entry in entries):
            raise StoreDamaged("no registered node")
        return MemorySource.renew(source, entries)

    monkeypatch.setattr(Flaky, "renew", renew)
    names = ("a", "damaged", "b")
    registrations = [process.register(name, 3.0) for name in names]
    for _ in range(4):
        clock.advance(1)
        process.turn()
    assert [registration.active for registration in registrations] == [True, False, True]
    assert isinstance(failure(registrations[1]), StoreDamaged)


def test_a_loss_is_told_once_however_often_registering_again_fails(
    group: MemoryGroup, clock: FakeClock, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    registration = process.register("a")
    clock.advance(60)
    process.source.after = StoreTimeout("no answer")
    for _ in range(5):
        group.clear()
        process.turn()
        assert not registration.active
        clock.advance(1.0)
    process.source.after = None
    process.turn()
    assert registration.active
    assert process.lost == [registration]


def test_an_answer_that_got_lost_does_not_make_one_its_own_rival(
    group: MemoryGroup, clock: FakeClock, process: Process
) -> None:
    registration = process.register("a")
    clock.advance(60)
    process.source.after = StoreTimeout("no answer")
    process.turn()
    process.source.after = None
    clock.advance(1.0)
    process.turn()
    assert (registration.active, registration.replaced) == (True, False)
    assert [member.fence for member in group.members()] == [process.source.enter(registration._entry)]


def test_close_leaves_at_once_and_is_harmless_twice(group: MemoryGroup, process: Process) -> None:
    with process.register("a") as registration:
        assert listed(group) == ["a"]
    assert listed(group) == []
    assert not registration.active
    registration.close()
    process.turn()
    assert listed(group) == []
    assert process.lost == []


def test_closing_goes_on_after_a_failure(group: MemoryGroup, process: Process) -> None:
    first, second = process.register("a"), process.register("b")
    process.source.before = StoreTimeout("no answer")
    with pytest.raises(StoreTimeout):
        process.registrar.close()
    assert not first.active
    assert not second.active
    with pytest.raises(StoreError, match="closed"):
        process.register("c")


def test_a_callback_that_fails_stops_nobody(
    clock: FakeClock, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    registration = process.register("a")
    registration.on_lost(lambda lost: 1 // 0)
    clock.advance(60)
    process.turn()
    assert [args.exc_type for args in failures] == [ZeroDivisionError]
    assert registration.active
    with pytest.raises(InvalidType):
        registration.on_lost(7)  # type: ignore[arg-type]


def test_one_thread_renews_all_and_ends(group: MemoryGroup) -> None:
    others = set(threading.enumerate())

    def running() -> list[str]:
        new = set(threading.enumerate()) - others
        return [thread.name for thread in new if "membership-renew" in thread.name]

    with Membership(MemorySource(), debounce=0) as membership:
        registrations = [membership.register(f"node-{number}", ttl=30) for number in range(20)]
        assert running() == ["ringfence-membership-renew"]
        assert all(registration.active for registration in registrations)
    assert running() == []
    assert not any(registration.active for registration in registrations)


def test_a_membership_follows_its_own_registrations() -> None:
    with Membership(MemorySource(), debounce=0, poll=60) as membership:
        changes = membership.changes()
        registration = membership.register(Node("a", 2.0, "east"), ttl=60)
        change = changes.next(timeout=60)
        assert change is not None
        assert change.new.node("a") == registration.node == Node("a", 2.0, "east")
        assert "active" in repr(registration)


def test_a_registration_whose_answer_was_lost_learns_its_fence(
    group: MemoryGroup, clock: FakeClock, process: Process
) -> None:
    registration = process.register("a")
    group.clear()
    clock.advance(3.0)
    process.source.after = StoreTimeout("no answer")
    process.turn()
    assert failure(registration) is process.source.after
    process.source.after = None
    clock.advance(1.0)
    process.turn()
    assert failure(registration) is None
    assert [registration.fence] == [member.fence for member in group.members()]
    assert process.lost == [registration]
