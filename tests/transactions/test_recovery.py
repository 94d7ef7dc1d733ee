"""Recovery of many transactions: decided together, told together."""

from collections.abc import Sequence
from typing import Any

import pytest

from ringfence.errors import HeuristicOutcome, InDoubt, OutcomeUnknown, StoreError
from ringfence.transactions import Outcome, TransactionManager
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.participants import Capabilities
from ringfence.transactions.recovery import AT_ONCE, recover

from .scripted import Asked


class Store:
    """What recovery sees of a participant or a decision store, for a script to answer."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name


class AtOnce(Store):
    def resolve_many(self, gids: Sequence[str], outcome: Outcome) -> list[Exception | None]:
        raise NotImplementedError


def gids(*numbers: int) -> list[str]:
    return [f"main.1.{number}" for number in numbers]


def recovering(answers: dict[str, list[Any]], kind: type[Store] = Store) -> tuple[Asked, Any]:
    asked = Asked(answers)
    participants: Any = {name: kind(name) for name in ("east", "west")}
    return asked, asked.run(recover("main", 2, participants, Store("store")))  # type: ignore[arg-type]


FOUND = {"recover east": [gids(1, 2, 3)], "recover west": [gids(3, 1)]}
STANDING = {"put_many": [[Outcome.COMMITTED, Outcome.ABORTED, Outcome.COMMITTED]]}


def test_all_are_decided_at_once_and_told_side_by_side() -> None:
    asked, recovery = recovering({**FOUND, **STANDING})
    assert asked[:3] == ["recover east", "recover west", "put_many store"]
    assert asked[3:] == [
        "commit east",
        "commit west",
        "commit east",
        "commit west",
        "rollback east",
        "rollback west",
    ]
    assert (recovery.committed, recovery.aborted, recovery.unresolved) == (4, 1, [])


def test_those_that_can_are_told_of_many_at_once() -> None:
    asked, recovery = recovering(
        {
            **FOUND,
            **STANDING,
            "resolve_many east": [[None, None], [None]],
            "resolve_many west": [[None, None], [None]],
        },
        AtOnce,
    )
    assert asked[3:] == ["resolve_many east", "resolve_many west", "resolve_many east", "resolve_many west"]
    assert [str(branch) for branch in recovery][-1] == "main.1.2 aborted on east"
    assert (recovery.committed, recovery.aborted, recovery.unresolved) == (4, 1, [])


def test_what_could_not_be_told_is_said_one_by_one() -> None:
    answers: dict[str, list[Any]] = {"resolve_many east": [[StoreError("busy"), None], StoreError("gone")]}
    answers["resolve_many west"] = [[None, None], StoreError("gone too, but nothing was known to be there")]
    _, recovery = recovering({**FOUND, **STANDING, **answers}, AtOnce)
    assert [str(left) for left in recovery.unresolved] == [
        "main.1.1 left on east: busy",
        "main.1.2 left on east: gone",
    ]
    assert len(recovery) == 3


def test_nobody_is_told_anything_without_a_decision() -> None:
    asked, recovery = recovering({**FOUND, "put_many": [OutcomeUnknown("lost"), StoreError("gone")]})
    assert set(asked[3:]) == {"put_many store"}
    assert len(recovery.unresolved) == 5
    assert all(isinstance(left.error, InDoubt) for left in recovery.unresolved)


def test_a_decision_that_was_not_answered_is_asked_for_again() -> None:
    asked, recovery = recovering({**FOUND, "put_many": [OutcomeUnknown("lost"), *STANDING["put_many"]]})
    assert asked[2:4] == ["put_many store", "put_many store"]
    assert len(recovery) == 5


class Prepared:
    """A participant on which very many branches are prepared."""

    capabilities = Capabilities(concurrent=True)

    def __init__(self, count: int) -> None:
        self.left = {f"main.1.{seq}": None for seq in range(1, count + 1)}
        self.done: dict[str, Outcome] = {}

    def recover(self, prefix: str = "") -> list[str]:
        return [gid for gid in self.left if gid.startswith(prefix)]

    def commit(self, gid: str) -> None:
        self._end(gid, Outcome.COMMITTED)

    def rollback(self, gid: str) -> None:
        self._end(gid, Outcome.ABORTED)

    def close(self) -> None:
        pass

    def _end(self, gid: str, outcome: Outcome) -> None:
        del self.left[gid]
        self.done[gid] = outcome


@pytest.mark.parametrize("count", [1, AT_ONCE, AT_ONCE + 1, 10_000])
def test_very_many_are_all_resolved_as_decided(count: int) -> None:
    decisions = MemoryDecisions()
    decisions.begin_epoch("main")
    for seq in range(1, count + 1, 3):
        decisions.put_if_absent(f"main.1.{seq}", Outcome.COMMITTED)
    east, west = Prepared(count), Prepared(count)
    with TransactionManager(decisions, {"east": east, "west": west}) as tm:  # type: ignore[dict-item]
        recovery = tm.recover()
        assert (recovery.committed, len(recovery)) == (2 * len(range(1, count + 1, 3)), 2 * count)
        assert tm.recover().resolved == []
    assert east.done == west.done == dict(decisions.decisions())


def test_who_committed_by_hand_what_is_aborted_is_found_where_nothing_is_prepared() -> None:
    by_hand = HeuristicOutcome("main.1.1", "?", "committed by hand")
    answers: dict[str, list[Any]] = {
        "recover east": [gids(1)],
        "recover west": [[]],
        "put_many": [[Outcome.ABORTED]],
    }
    asked, recovery = recovering({**answers, "rollback west": [by_hand]})
    assert asked[3:] == ["rollback east", "rollback west", "report store"]
    assert [str(branch) for branch in recovery] == ["main.1.1 aborted on east"]
    [left] = recovery.unresolved
    assert (left.gid, left.branch) == ("main.1.1", "west")
