"""What holds whatever goes wrong, looked for in what the workers noted."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

from ringfence.testing.linearizability import Operation, fenced_mutex, first_violation, owner_aware_mutex
from tests.locks.faults.crew import Crew
from tests.locks.faults.journal import Note, histories, holdings
from tests.locks.mutated import swapped, with_a_stale_write, without_a_release

GRAIN = 0.01
"""Seconds between looking at the clock and at the lease."""


def check(crew: Crew) -> int:
    """Look for what must never be, and return how many operations there were."""
    journals = crew.journals()
    check_whatever_the_server_forgot(crew)
    found = histories(journals)
    for history in found.values():
        check_one_holder_at_a_time(history)
        check_history(history)
    return sum(map(len, found.values()))


def check_whatever_the_server_forgot(crew: Crew) -> None:
    """Look for what must not even be after the server has lost all it knew."""
    journals = crew.journals()
    for history in histories(journals).values():
        check_fences_grow(history)
    check_writes_never_go_back(crew.folder)
    check_who_was_stopped_knows(journals)
    assert all(note["innocent"] for notes in journals for note in notes if note["step"] == "forked")


def check_fences_grow(history: list[Operation]) -> None:
    """Who asked after another was answered has the greater fence."""
    events = [(o.answered, False, o) for o in history if o.action == "acquire"]
    events += [(o.called, True, o) for o in history if o.action == "acquire"]
    newest = 0
    known: dict[int, int] = {}
    for _, asks, operation in sorted(events, key=lambda event: event[:2]):
        if asks:
            known[id(operation)] = newest
        else:
            assert operation.fence > known[id(operation)], operation
            newest = max(newest, operation.fence)


def check_writes_never_go_back(folder: Path) -> None:
    """What was written under a guard has fences that never sink."""
    with closing(sqlite3.connect(folder / "writes.db")) as connection:
        written = connection.execute("SELECT name, fence FROM writes ORDER BY rowid").fetchall()
    assert written
    for name in {name for name, _ in written}:
        fences = [fence for other, fence in written if other == name]
        assert fences == sorted(fences)


def check_who_was_stopped_knows(journals: list[list[Note]]) -> None:
    """A lease that is not renewed is not valid at a write after its deadline."""
    for notes in journals:
        for took, *later in holdings(notes):
            for note in later:
                late = note["step"] == "writing" and note["at"] > took["deadline"] + GRAIN
                assert not (late and note["valid"] and not took["renewed"]), (took, note)


def check_one_holder_at_a_time(history: list[Operation]) -> None:
    """By its own clock nobody holds a lock that another holds."""
    taken = {operation.owner: operation for operation in history if operation.action == "acquire"}
    ends = {
        operation.owner: operation.called
        for operation in history
        if operation.action in ("expire", "release")
    }
    holders = sorted((taken[owner].answered, ends[owner], owner) for owner in taken)
    for (_, end, owner), (start, _, other) in itertools.pairwise(holders):
        assert end <= start, f"{owner} and {other} held at once, for {end - start} s"


def check_history(history: list[Operation]) -> None:
    """The history can have happened, and wrong ones cannot."""
    for model in (fenced_mutex, owner_aware_mutex):
        assert first_violation(history, model) is None
    for mutated in (swapped, without_a_release, with_a_stale_write):
        assert first_violation(mutated(history), fenced_mutex) is not None, mutated
