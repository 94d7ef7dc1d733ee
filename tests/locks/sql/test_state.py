"""What a database knows of a lock, and how it changes."""

from __future__ import annotations

from ringfence.locks.stores.sql.state import Held, Place, State

TTL = 10
PLACE = 5


class Row:
    """A state that is written and read again between any two changes, as it is in a database."""

    def __init__(self) -> None:
        self.now = 1000
        self.columns: tuple[int, Held, str] = (0, Held("", 0, 0), "")

    def read(self) -> State:
        last, first, rest = self.columns
        return State.read(self.now, last, first, rest)

    def write(self, state: State) -> None:
        self.columns = state.last, state.first(), state.rest()

    def grant(
        self, owner: str, share: int = 1, of: int = 1, queue: bool = True, fences: int = 1
    ) -> int | None:
        state = self.read()
        wanted = Place(owner, TTL, fences, share, of, self.now, self.now + PLACE)
        fence = state.grant(wanted, queue)
        self.write(state)
        return fence

    def release(self, owner: str) -> bool:
        state = self.read()
        held = state.held_by(owner)
        freed = state.release(owner, held.fence if held else 0)
        self.write(state)
        return freed

    def holders(self) -> list[str]:
        return [holder.owner for holder in self.read().status("x").holders]

    def waiting(self) -> list[str]:
        return list(self.read().status("x").waiting)


def test_a_lock_nobody_waits_for_leaves_no_rest() -> None:
    row = Row()
    row.grant("a")
    assert row.columns[1].owner == "a"
    assert row.columns[2] == ""
    row.release("a")
    assert row.columns[1].owner == ""
    assert row.columns[2] == ""


def test_the_queue_is_served_in_order_and_the_age_is_told() -> None:
    row = Row()
    row.grant("a")
    row.grant("b")
    row.now += 2
    row.grant("c")
    row.grant("b")  # asked again: keeps its place, and the time it was made
    assert row.waiting() == ["b", "c"]
    row.release("a")
    assert (row.holders(), row.waiting()) == (["b"], ["c"])
    push = row.read().pushed("b")
    assert push is not None
    assert push.age == 2e-6


def test_readers_share_and_a_waiting_writer_stops_new_ones() -> None:
    row, many = Row(), 2**20
    assert row.grant("r1", 1, many)
    assert row.grant("r2", 1, many)
    assert row.grant("w", many, many) is None
    assert row.grant("r3", 1, many) is None
    assert row.grant("r4", 1, many) is None
    row.release("r1")
    assert (row.holders(), row.waiting()) == (["r2"], ["w", "r3", "r4"])
    row.release("r2")
    assert (row.holders(), row.waiting()) == (["w"], ["r3", "r4"])
    row.release("w")
    assert (row.holders(), row.waiting()) == (["r3", "r4"], [])


def test_permits_are_counted_and_each_has_its_own_fence() -> None:
    row = Row()
    fences = [row.grant(owner, 1, 3) for owner in "abc"]
    assert None not in fences
    assert sorted(set(fences)) == fences  # type: ignore[type-var]
    assert row.grant("d", 1, 3, queue=False) is None
    assert row.waiting() == []
    row.release("b")
    assert row.grant("d", 1, 3) > fences[-1]  # type: ignore[operator]
    assert row.holders() == ["a", "c", "d"]


def test_what_ended_makes_room_and_the_dead_are_skipped() -> None:
    row = Row()
    row.grant("a")
    row.grant("dead")
    row.now += PLACE
    row.grant("b")
    assert row.waiting() == ["b"]
    row.now += PLACE - 1
    row.grant("b")  # its place begins anew
    row.now += 1
    assert row.holders() == []
    assert row.grant("c") is None
    assert (row.holders(), row.waiting()) == (["b"], ["c"])


def test_fences_go_on_from_the_time_where_the_row_was_lost() -> None:
    row = Row()
    first = row.grant("a", fences=32)
    row.release("a")
    second = row.grant("a")
    assert first is not None
    assert second is not None
    assert second >= first + 32
    lost = Row()
    lost.now = row.now + 100
    assert lost.grant("a") > second  # type: ignore[operator]
