"""Bounded loads: the bound holds, the overflow goes on in order, and threads lose nothing."""

import math
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.errors import EmptyRing, InvalidType, InvalidValue, UnknownNode
from ringfence.placement import (
    BoundedLoad,
    HashRing,
    JumpHash,
    Maglev,
    Node,
    Placement,
    Rendezvous,
    bounded_node,
)

RING = HashRing(["a", "b", "c", "d", "e"])
WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5, "d": 4.0}
MAKERS: list[Any] = [HashRing, Rendezvous, lambda nodes: Maglev(nodes, table_size=1009)]


def bound(placement: Placement, node: str, total: int, balance: float) -> int:
    weights = {name: placement.node(name).weight for name in placement.nodes}
    return math.ceil(balance * total * weights[node] / sum(weights.values()) - 1e-9)


def slow_choice(placement: Placement, key: Any, loads: dict[str, int], balance: float) -> str:
    total = sum(loads.values()) + 1
    order = placement.replicas(key, len(placement.nodes))
    return next(name for name in order if loads[name] < bound(placement, name, total, balance))


@pytest.mark.parametrize("make", MAKERS)
@given(
    loads=st.tuples(*[st.integers(0, 50)] * 4),
    key=st.integers(0, 1000),
    balance=st.sampled_from([1.1, 1.25, 2.0]),
)
def test_the_first_in_order_that_has_room(
    make: Any, loads: tuple[int, ...], key: int, balance: float
) -> None:
    placement = make(WEIGHTS)
    given_loads = dict(zip("abcd", loads, strict=True))
    assert bounded_node(placement, key, given_loads, balance) == slow_choice(
        placement, key, given_loads, balance
    )


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=300), st.sampled_from([1.01, 1.25, 3]))
def test_no_node_ever_takes_more_than_its_bound(steps: list[tuple[bool, int]], balance: float) -> None:
    placement = HashRing(WEIGHTS)
    bounded, loads = BoundedLoad(placement, balance), dict.fromkeys("abcd", 0)
    held: list[str] = []
    for acquire, number in steps:
        if acquire or not held:
            expected = slow_choice(placement, number, loads, balance)
            node = bounded.acquire(number)
            assert node == expected == bounded_node(placement, number, loads, balance)
            loads[node] += 1
            held.append(node)
            assert loads[node] <= bound(placement, node, sum(loads.values()), balance)
        else:
            node = held.pop(number % len(held))
            bounded.release(node)
            loads[node] -= 1
        assert bounded.loads == loads


def test_the_overflow_of_one_key_cascades_in_ring_order() -> None:
    bounded = BoundedLoad(RING, 1.25)
    order = RING.replicas("hot", 5)
    taken = [bounded.acquire("hot") for _ in range(500)]
    assert list(dict.fromkeys(taken)) == list(order[:4])  # 4 * 125 is all there is
    assert sum(bounded.loads.values()) == 500
    assert max(bounded.loads.values()) <= 125


def test_a_key_stays_with_its_owner_while_there_is_room() -> None:
    bounded = BoundedLoad(RING, 1e9)
    assert all(bounded.acquire(key) == RING[key] for key in range(300))


@pytest.mark.parametrize("make", [HashRing, JumpHash])
def test_a_node_more_shares_the_load_and_one_that_left_may_release(make: Any) -> None:
    bounded = BoundedLoad(make(["a", "b"]))
    held = [bounded.acquire(key) for key in range(100)]
    bounded.replace(make(["a", "b", "c"]))
    held += [bounded.acquire(key) for key in range(100, 200)]
    assert max(bounded.loads.values()) <= math.ceil(1.25 * 200 / 3)
    bounded.replace(make(["a"]))
    assert bounded.placement == make(["a"])
    for node in held:
        bounded.release(node)
    assert bounded.loads == {"a": 0}
    with pytest.raises(UnknownNode):
        bounded.release("b")


def test_threads_lose_nothing() -> None:
    bounded, given_to = BoundedLoad(RING), Counter[str]()
    lock = threading.Lock()

    def work(start: int) -> None:
        mine = [bounded.acquire(key) for key in range(start, start + 400)]
        for node in mine[::2]:
            bounded.release(node)
        with lock:
            given_to.update(mine[1::2])

    threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bounded.loads == {name: given_to[name] for name in RING}


def test_a_tiny_weight_has_a_place_and_a_huge_one_no_overflow() -> None:
    placement = HashRing([Node("a", 1e-9), Node("b", 1e3)])
    bounded = BoundedLoad(placement)
    for key in range(100):
        bounded.acquire(key)
    assert bounded.loads["a"] <= 1
    rendezvous = Rendezvous({"a": 1e308, "b": 1e308})
    assert bounded_node(rendezvous, 1, {}) == rendezvous[1]


Any_: Any = BoundedLoad


@pytest.mark.parametrize(
    ("wrong", "error", "names"),
    [
        (lambda: Any_("ring"), InvalidType, "'ring'"),
        (lambda: Any_(RING, 1), InvalidValue, "balance.*1"),
        (lambda: Any_(RING, float("nan")), InvalidValue, "balance.*nan"),
        (lambda: Any_(RING, float("inf")), InvalidValue, "balance.*inf"),
        (lambda: Any_(RING, "2"), InvalidType, "balance.*'2'"),
        (lambda: Any_(RING, True), InvalidType, "balance.*True"),
        (lambda: Any_(RING).acquire(None), InvalidType, "None"),
        (lambda: Any_(RING).release("z"), UnknownNode, "'z'"),
        (lambda: Any_(RING).release(3), UnknownNode, "3"),
        (lambda: Any_(RING).release("a"), InvalidValue, "'a'.*twice"),
        (lambda: Any_(RING).replace(3), InvalidType, "3"),
        (lambda: Any_(HashRing()).acquire("x"), EmptyRing, "no nodes"),
        (lambda: bounded_node(HashRing(), "x", {}), EmptyRing, "no nodes"),
        (lambda: bounded_node(RING, "x", {"a": -1}), InvalidValue, "'a'.*-1"),
        (lambda: bounded_node(RING, "x", {"a": 1.5}), InvalidType, "'a'.*1.5"),  # type: ignore[dict-item]
    ],
)
def test_bad_arguments_are_named(wrong: Any, error: type[Exception], names: str) -> None:
    with pytest.raises(error, match=names):
        wrong()
