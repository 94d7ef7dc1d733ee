"""Replicas in zones of their own."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence._core.points import Points
from ringfence.errors import EmptyRing, InvalidType, InvalidValue
from ringfence.placement import AnchorHash, HashRing, JumpHash, Maglev, MultiProbe, Node, Rendezvous

MAKERS: list[Any] = [
    HashRing,
    Rendezvous,
    JumpHash,
    MultiProbe,
    lambda nodes: Maglev(nodes, table_size=1009),
    lambda nodes: AnchorHash(nodes, capacity=16),
]
NODES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.sampled_from(["x", "y", "z", None]), min_size=1, max_size=10
).map(lambda zones: [Node(name, zone=zone) for name, zone in zones.items()])


def slow_spread(placement: Any, key: Any, n: int) -> tuple[str, ...]:
    """Take the first node left of the zones that have been used least, until there are `n`."""
    left = list(placement.replicas(key, len(placement)))
    used: Counter[Any] = Counter()
    zones = {name: placement.node(name).zone or ("alone", name) for name in left}
    found: list[str] = []
    while left and len(found) < n:
        least = min(used[zones[name]] for name in left)
        name = next(name for name in left if used[zones[name]] == least)
        used[zones[name]] += 1
        left.remove(name)
        found.append(name)
    return tuple(found)


@pytest.mark.parametrize("make", MAKERS)
@given(nodes=NODES, key=st.integers(0, 1000), n=st.integers(1, 12))
def test_zones_repeat_only_when_there_are_not_enough(make: Any, nodes: list[Node], key: int, n: int) -> None:
    placement = make(nodes)
    found = placement.replicas(key, n, distinct="zone")
    assert found == slow_spread(placement, key, n)
    assert found[0] == placement[key]
    assert len(found) == len(set(found)) == min(n, len(nodes))
    zones = Counter(placement.node(name).zone or name for name in found)
    there = len({node.zone or ("alone", node.name) for node in nodes})
    assert len(zones) == min(n, there)


def test_without_zones_it_is_the_ring_order() -> None:
    ring = HashRing([f"n{i}" for i in range(50)])
    assert all(ring.replicas(key, 5, distinct="zone") == ring.replicas(key, 5) for key in range(100))
    assert ring.replicas(1, 5, distinct=None) == ring.replicas(1, 5)


def test_a_far_zone_is_found() -> None:
    ring = HashRing([*(Node(f"n{i}", zone="x") for i in range(200)), Node("far", zone="y")])
    for key in range(50):
        found = ring.replicas(key, 3, distinct="zone")
        assert "far" in found[:2]
        near = [name for name in ring.replicas(key, 3) if name != "far"]
        assert [name for name in found if name != "far"] == near[:2]


Anything: Any = HashRing


@pytest.mark.parametrize(
    ("wrong", "error", "names"),
    [
        (lambda: Anything(["a"]).replicas("x", 1, distinct="rack"), InvalidValue, "'rack'"),
        (lambda: Anything(["a"]).replicas("x", 1, distinct=3), InvalidValue, "3"),
        (lambda: Anything(["a"]).replicas("x", 0, distinct="zone"), InvalidValue, "0"),
        (lambda: Anything(["a"]).replicas("x", "1", distinct="zone"), InvalidType, "'1'"),
        (lambda: Anything(["a"]).replicas(None, 1, distinct="zone"), InvalidType, "None"),
        (lambda: Anything().replicas("x", 1, distinct="zone"), EmptyRing, "no nodes"),
        (lambda: Rendezvous().replicas("x", 1, distinct="zone"), EmptyRing, "no nodes"),
        (
            lambda: Points(("a",), HashRing(["a"]).points, HashRing(["a"]).owners).replicas("x", 1, "zone"),
            InvalidValue,
            "knows its zones",
        ),
    ],
)
def test_bad_arguments_are_named(wrong: Any, error: type[Exception], names: str) -> None:
    with pytest.raises(error, match=names):
        wrong()
