"""The specification holds, and without any one of its rules TLC finds what goes wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringfence.testing.switches import SWITCHES

from .tlc import SPEC, check

pytestmark = pytest.mark.servers  # Java comes with the packages of one

FENCE = ("win-before-rollback", "stale-never-commits")
NOBODY_CRASHES = {
    "AskAllToPrepare",
    "Prepare",
    "AskToDecide",
    "TakeOver",
    "Scan",
    "Settle",
    "RollBack",
    "PutIfAbsent",
    "LearnDecision",
    "Commit",
}
WITHOUT = [
    (("win-before-rollback",), "Atomic"),
    (("put-if-absent",), "Atomic"),
    (("decide-before-telling",), "Atomic"),
    (("loser-follows-winner",), "Atomic"),
    (("stale-never-commits",), "ZombieCommitsNothing"),
    (("silence-is-no-abort",), "ToldTheTruth"),
]


@pytest.mark.parametrize(
    "name",
    [
        "Log",
        "Marker",
        pytest.param("LogOfThree", marks=pytest.mark.slow),
        pytest.param("MarkerOfThree", marks=pytest.mark.slow),
    ],
)
def test_the_protocol_commits_transactions(name: str, tmp_path: Path) -> None:
    found = check(SPEC / f"{name}.cfg", tmp_path)
    assert found.violated is None, found.text
    assert found.states == documented(name)


def documented(name: str) -> int:
    """The number of states that the README tells of a configuration."""
    text = (SPEC / "README.md").read_text(encoding="utf-8")
    told = re.search(rf"^\| `{name}\.cfg` \|.*\| ([\d,]+) \|$", text, re.M)
    assert told, name
    return int(told[1].replace(",", ""))


@pytest.mark.parametrize(
    ("rules", "violated"), WITHOUT, ids=lambda value: "+".join(value) if isinstance(value, tuple) else value
)
def test_tlc_finds_what_goes_wrong_without_a_rule(
    rules: tuple[str, ...], violated: str, tmp_path: Path
) -> None:
    assert set(rules) <= set(SWITCHES)
    found = check(without(rules, violated, tmp_path), tmp_path)
    assert found.violated == violated, found.text


def test_without_the_fence_a_slow_coordinator_that_lives_loses_atomicity(tmp_path: Path) -> None:
    found = check(without(FENCE, "Atomic", tmp_path), tmp_path)
    assert found.violated == "Atomic", found.text
    assert set(found.steps) == NOBODY_CRASHES
    order = [
        found.steps.index(step) for step in ("Scan", "RollBack", "PutIfAbsent", "LearnDecision", "Commit")
    ]
    assert order == sorted(order), found.text
    assert 'coord = "committed"' in found.text


def test_the_row_alone_keeps_a_transaction_whole(tmp_path: Path) -> None:
    """The epoch is for what a zombie may do after somebody took over from it; it is not what makes this atomic."""
    found = check(without(("stale-never-commits",), "Atomic ToldTheTruth", tmp_path), tmp_path)
    assert found.violated is None, found.text


def without(rules: tuple[str, ...], checked: str, folder: Path) -> Path:
    """`Log.cfg` with some rules off, and only some invariants or one property of steps to check."""
    names = ", ".join(f'"{rule}"' for rule in rules)
    text = (SPEC / "Log.cfg").read_text(encoding="utf-8")
    text = re.sub(r"Off = .*", f"Off = {{{names}}}", text)
    text = re.sub(r"(INVARIANTS|PROPERTIES) .*\n", "", text)
    kind = "PROPERTIES" if checked == "ZombieCommitsNothing" else "INVARIANTS"
    path = folder / "Without.cfg"
    path.write_text(f"{text}{kind} {checked}\n", encoding="utf-8")
    return path
