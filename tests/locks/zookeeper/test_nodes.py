"""Whose turn it is, and whom a waiter has to watch, by the names of the nodes alone."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.locks import rules
from ringfence.locks.stores import Shared, heads
from ringfence.locks.stores.zookeeper import nodes
from ringfence.locks.stores.zookeeper.nodes import Node

ALL = 2**20


def line_of(*shares: tuple[int, int]) -> list[Node]:
    return [
        Node(number, f"owner{number}", asked, of, f"node{number}")
        for number, (asked, of) in enumerate(shares)
    ]


def numbers(found: list[Node]) -> list[int]:
    return sorted(node.number for node in found)


def holds(line: list[Node], node: Node) -> bool:
    return line.index(node) < heads.holding(line)


@pytest.mark.parametrize("owner", ["me", "a-1", "ü/∞ ,.", "x,1,1-0000000001", "%41"])
def test_an_owner_is_found_by_the_name_of_its_node(owner: str) -> None:
    children = [f"{nodes.prefix(name, owner)}{7:010}" for name in ("x", Shared("x", 3, 5))]
    assert [(node.owner, node.asked, node.of, node.number) for node in nodes.in_line(children)] == [
        (owner, 1, 1, 7),
        (owner, 3, 5, 7),
    ]
    assert all("/" not in child for child in children)


def test_no_owner_s_prefix_is_that_of_another() -> None:
    assert not f"{nodes.prefix('x', 'a-1')}0000000001".startswith(nodes.prefix("x", "a"))


def test_the_line_is_in_the_order_of_the_numbers_and_without_strangers() -> None:
    children = ["b,1,1-0000000002", "readme", "a,1,1-0000000010", "c,1,1-0000000001", "_c_d-lock-0000000000"]
    assert [node.owner for node in nodes.in_line(children)] == ["c", "b", "a"]


def test_folders_of_plain_and_shared_locks_differ_and_none_is_a_dot() -> None:
    names: list[str] = ["x", Shared("x", 1, 2), "..", "a/b", "a%2Fb"]
    folders = [nodes.folder("/base", name) for name in names]
    assert len(set(folders)) == len(names)
    assert folders[2] == "/base/locks/%2E%2E"
    assert all(folder.count("/") == 3 for folder in folders)


def test_each_waiter_for_a_plain_lock_watches_the_one_before_it() -> None:
    line = line_of(*[(1, 1)] * 5)
    assert heads.holding(line) == 1
    assert [numbers(nodes.in_the_way(line, at)) for at in range(1, 5)] == [[0], [1], [2], [3]]


def test_each_waiter_for_a_semaphore_watches_as_many_as_it_has_permits() -> None:
    line = line_of(*[(1, 3)] * 6)
    assert heads.holding(line) == 3
    assert [numbers(nodes.in_the_way(line, at)) for at in range(3, 6)] == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_behind_a_writer_all_watch_it_alone_and_it_watches_one_reader() -> None:
    line = line_of((1, ALL), (1, ALL), (ALL, ALL), (1, ALL), (1, ALL), (ALL, ALL), (1, ALL))
    assert heads.holding(line) == 2
    assert [numbers(nodes.in_the_way(line, at)) for at in range(2, 7)] == [[1], [2], [2], [2], [5]]


def test_one_who_reckons_with_more_permits_waits_for_one_before_it() -> None:
    line = line_of((1, 1), (1, 1), (1, 5))
    assert heads.holding(line) == 1
    assert numbers(nodes.in_the_way(line, 2)) == [0, 1]


LINES = st.lists(
    st.integers(1, 6).flatmap(lambda of: st.tuples(st.integers(1, of), st.just(of))), min_size=1, max_size=7
).map(lambda shares: line_of(*shares))


@given(LINES)
def test_unless_one_of_those_watched_goes_a_waiter_does_not_get_the_lock(line: list[Node]) -> None:
    for at in range(heads.holding(line), len(line)):
        watched = nodes.in_the_way(line, at)
        assert watched
        assert all(node in line[:at] for node in watched)
        others = [node for node in line[:at] if node not in watched]
        for count in range(len(others) + 1):
            for gone in itertools.combinations(others, count):
                assert not holds([node for node in line if node not in gone], line[at])


@given(LINES, st.randoms(use_true_random=False))
def test_grants_are_made_in_the_order_of_creation_whoever_goes(line: list[Node], rng: random.Random) -> None:
    granted: list[int] = []
    while line:
        holding = line[: heads.holding(line)]
        granted += [node.number for node in holding if node.number not in granted]
        assert all(holds(line, node) for node in holding)
        line.remove(rng.choice(line))
    assert granted == sorted(granted)


def test_who_would_come_now_stands_behind_all() -> None:
    assert nodes.newcomer(Shared("x", 2, 3))[2:4] == (2, 3)
    assert nodes.newcomer("x").number >= nodes.LAST


def test_a_grant_has_as_many_fences_as_a_process_asks_for() -> None:
    """The block is part of what is in ZooKeeper: a smaller one would repeat the numbers of a larger one."""
    assert nodes.BLOCK == 32
    assert rules.FENCES <= nodes.BLOCK


def test_used_up_numbers_are_refused() -> None:
    assert nodes.is_usable("/f/x,1,1-2147483646")
    assert not nodes.is_usable("/f/x,1,1-2147483647")
    assert not nodes.is_usable("/f/x,1,1--2147483648")
