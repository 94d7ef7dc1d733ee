"""Debounce against a slow, obvious model, and rule by rule."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.placement.membership.debounce import Debounce
from ringfence.placement.node import Node

Nodes = dict[str, Node]
WINDOW, HOLD = 4.0, 20.0


def nodes(names: str) -> Nodes:
    return {name: Node(name) for name in names}


def run(steps: list[tuple[float, Nodes]], start: str = "", **options: Any) -> list[tuple[float, Nodes]]:
    """Observe nodes at times, and return what was published when."""
    debounce = Debounce(nodes(start), options.pop("window", WINDOW), HOLD, **options)
    published = []
    for now, listed in steps:
        debounce.observe(listed, now)
        target = debounce.due(now)
        if target is not None:
            debounce.publish(target, now)
            published.append((now, target))
    return published


def names(published: list[tuple[float, Nodes]]) -> list[tuple[float, str]]:
    return [(now, "".join(sorted(listed))) for now, listed in published]


def every_second(*listed: str) -> list[tuple[float, Nodes]]:
    return [(float(second), nodes(names)) for second, names in enumerate(listed)]


def test_a_change_is_published_when_it_has_stood_for_the_window() -> None:
    assert names(run(every_second("a", *["ab"] * 10), "a")) == [(5.0, "ab")]


def test_a_node_that_leaves_and_returns_within_the_window_changes_nothing() -> None:
    assert run(every_second("ab", "a", "a", "a", *["ab"] * 20), "ab") == []


def test_a_node_that_comes_and_goes_within_the_window_changes_nothing() -> None:
    assert run(every_second("a", "ab", "ab", *["a"] * 20), "a") == []


def test_joins_and_leaves_come_in_batches() -> None:
    steps = every_second("abc", "abcd", "abcde", "bcdef", *["cdefg"] * 20)
    assert names(run(steps, "abc")) == [(5.0, "abcd"), (9.0, "cdefg")]


def test_another_weight_or_zone_is_a_change() -> None:
    heavy = {"a": Node("a", 2.0, "east")}
    assert run([(float(second), heavy) for second in range(9)], "a") == [(4.0, heavy)]


def test_a_window_of_0_publishes_at_once() -> None:
    assert names(run(every_second("a", "ab", "b"), "a", window=0.0)) == [(1.0, "ab"), (2.0, "b")]


def flapping(times: int) -> list[str]:
    """One node stays away for 5 seconds and then there for 5, and so on."""
    return (["a"] * 5 + ["ab"] * 5) * times


def test_a_flapping_node_is_held_out_with_a_growing_delay() -> None:
    quick = every_second("ab", *flapping(1), *["ab"] * 60)
    assert names(run(quick, "ab")) == [(5.0, "a"), (10.0, "ab")]
    slow = every_second("ab", *flapping(2), *["ab"] * 60)
    assert names(run(slow, "ab")) == [
        (5.0, "a"),
        (10.0, "ab"),
        (15.0, "a"),
        (24.0, "ab"),
    ]  # back at 16, and 8 more
    slower = every_second("ab", *flapping(3), *["ab"] * 60)
    assert names(run(slower, "ab"))[-2:] == [(15.0, "a"), (42.0, "ab")]  # back at 26, and 16 more
    slowest = every_second("ab", *flapping(9), *["ab"] * 60)
    assert names(run(slowest, "ab"))[-2:] == [
        (15.0, "a"),
        (106.0, "ab"),
    ]  # back at 86, and never more than 20


def test_a_node_that_kept_calm_for_long_has_a_clean_sheet() -> None:
    steps = every_second("ab", *flapping(3), *["ab"] * 60, *["a"] * 6, *["ab"] * 9)
    assert names(run(steps, "ab"))[-2:] == [(95.0, "a"), (101.0, "ab")]


def test_no_node_left_is_published_only_when_asked_for() -> None:
    steps = every_second("ab", *[""] * 20)
    assert run(steps, "ab") == []
    assert names(run(steps, "ab", allow_empty=True)) == [(5.0, "")]


def test_the_last_nodes_leave_together_with_the_first_that_joins() -> None:
    assert names(run(every_second("a", *["b"] * 20), "a")) == [(5.0, "b")]
    held_out = every_second("ab", *flapping(3), *["b"] * 30)
    assert names(run(held_out, "ab"))[-2:] == [(15.0, "a"), (42.0, "b")]


def test_next_due_says_when_to_look_again() -> None:
    debounce = Debounce(nodes("a"), WINDOW, HOLD)
    assert debounce.next_due() == math.inf
    debounce.observe(nodes("ab"), 10.0)
    assert debounce.next_due() == 14.0
    assert debounce.due(13.9) is None
    target = debounce.due(14.0)
    assert target == nodes("ab")
    debounce.publish(nodes("ab"), 14.0)
    debounce.observe(nodes("b"), 14.5)
    assert debounce.next_due() == 18.5


def test_nodes_long_gone_are_forgotten() -> None:
    debounce = Debounce(nodes("a"), WINDOW, HOLD)
    for second in range(1000):
        debounce.observe({"a": Node("a"), f"passing-{second}": Node(f"passing-{second}")}, float(second))
    assert len(debounce._seen) < 30


# The model knows nothing but the whole history, and looks through all of it again at each question.

History = list[tuple[float, Nodes]]


def transitions(history: History, name: str) -> list[tuple[float, Node | None]]:
    found = [history[0]]
    for entry in history:
        if entry[1].get(name) != found[-1][1].get(name):
            found.append(entry)
    return [(when, listed.get(name)) for when, listed in found]


def departures(changes: list[tuple[float, Node | None]], now: float) -> int:
    """Count how often a node went away since it was last calm."""
    count = 0
    for (before, _), (when, node) in itertools.pairwise(changes):
        if when - before >= HOLD:
            count = 0
        count += node is None
    return count


def stands_long_enough(history: History, name: str, published: Nodes, now: float) -> bool:
    changes = transitions(history, name)
    since, node = changes[-1]
    needed = WINDOW
    if node is not None and name not in published:
        needed = min(WINDOW * 2 ** max(departures(changes, now) - 1, 0), HOLD)
    return now - since >= needed


def model(steps: History, start: Nodes) -> History:
    published, last, found = start, -math.inf, []
    for number, (now, listed) in enumerate(steps):
        history = [(-math.inf, start), *steps[: number + 1]]
        target = {}
        for name in {*published, *listed}:
            settled = stands_long_enough(history, name, published, now)
            node = listed.get(name) if settled else published.get(name)
            if node is not None:
                target[name] = node
        if target != published and target and now - last >= WINDOW:
            published, last = target, now
            found.append((now, target))
    return found


MEMBERS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([1.0, 2.0]), max_size=4).map(
    lambda weights: {name: Node(name, weight) for name, weight in weights.items()}
)
STEPS = st.lists(st.tuples(st.sampled_from([0.5, 1.0, 2.0, 3.5, 4.0, 9.0, 21.0]), MEMBERS), max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["", "a", "abc"]), STEPS)
def test_any_sequence_agrees_with_the_model(start: str, gaps: list[tuple[float, Nodes]]) -> None:
    now, steps = 0.0, []
    for gap, listed in gaps:
        now += gap
        steps.append((now, listed))
    assert run(steps, start) == model(steps, nodes(start))


@settings(max_examples=100, deadline=None)
@given(STEPS, MEMBERS.filter(bool))
def test_calm_makes_the_ring_what_is_listed(gaps: list[tuple[float, Nodes]], last: Nodes) -> None:
    now, steps = 0.0, []
    for gap, listed in [*gaps, *[(1.0, last)] * 40]:
        now += gap
        steps.append((now, listed))
    published = run(steps, "abc")
    assert (published[-1][1] if published else nodes("abc")) == last


@pytest.mark.parametrize("far", [1e9, 1e12])
def test_a_node_that_never_stops_flapping_breaks_nothing(far: float) -> None:
    debounce = Debounce(nodes("a"), WINDOW, HOLD)
    for step in range(5000):
        debounce.observe(nodes("ab" if step % 2 else "a"), far + step)
    assert debounce.next_due() <= far + 5000 + HOLD
