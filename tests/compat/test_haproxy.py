"""HAProxy's ring: what HAProxy itself answered, and the nearest point by looking at every one."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringfence.compat import haproxy
from ringfence.errors import InvalidType, InvalidValue, UnknownNode


def test_as_recorded(vectors: Callable[[str], Any]) -> None:
    for case in vectors("haproxy_consistent")["cases"]:
        _, *words = case["hash_type"].split()
        options = {"hash": words[0], "avalanche": len(words) > 1} if words else {}
        ring = haproxy.ring(case["servers"], ids=case["ids"], **options)
        assert [ring[key] for key, _ in case["lookups"]] == [server for _, server in case["lookups"]], words


def nearest(points: list[tuple[int, int]], place: int) -> int:
    """What `chash_get_server_hash` does, in arithmetic modulo 2**32."""
    following = next((i for i, (point, _) in enumerate(points) if point >= place), 0)
    before, after = points[following - 1], points[following]
    if before[1] == after[1]:
        return after[1]
    return before[1] if (place - before[0]) % 2**32 <= (after[0] - place) % 2**32 else after[1]


circles = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=12)


@given(circles, st.integers(0, 45), st.sampled_from([0, 2**31, 2**32 - 20]))
@example([(1, 0), (2, 1)], 2, 0)
@example([(0, 0), (2, 1)], 1, 0)
@example([(0, 0), (30, 1)], 45, 2**32 - 20)
def test_the_ends_between_points_find_the_nearest(
    circle: list[tuple[int, int]], place: int, shift: int
) -> None:
    points = sorted(((point + shift) % 2**32, owner) for point, owner in circle)
    place = (place + shift) % 2**32
    ends = haproxy._ends(points)
    assert all(one[0] <= other[0] for one, other in pairwise(ends))
    found = next((owner for end, owner in ends if end >= place), ends[0][1])
    if len({point for point, _ in points}) > 1:
        assert found == nearest(points, place)


def test_ids_and_not_names_place_a_server() -> None:
    one, other = haproxy.ring(["a", "b", "c"]), haproxy.ring(["x", "y", "z"])
    keys = [str(i) for i in range(200)]
    assert one.lookup_many(keys).tolist() == other.lookup_many(keys).tolist()
    moved = haproxy.ring(["a", "b", "c"], ids={"a": 9})
    assert moved.lookup_many(keys).tolist() != one.lookup_many(keys).tolist()


def test_an_id_given_uses_up_a_number() -> None:
    assert haproxy._ids({"a": 1, "b": 1, "c": 1}, {"a": 9}) == {"a": 9, "b": 2, "c": 3}
    assert haproxy._ids({"a": 1, "b": 1, "c": 1}, {"a": 2}) == {"a": 2, "b": 3, "c": 4}


def test_the_others_keep_their_ids_when_a_server_goes() -> None:
    ring = haproxy.ring(["a", "b", "c"])
    assert ring.without_node("a") == haproxy.ring(["b", "c"], ids={"b": 2, "c": 3})
    assert ring.without_node("a") != haproxy.ring(["b", "c"])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"servers": {"a": 0}}, InvalidValue, "at least 1, not 0"),
        ({"servers": {"a": 257}}, InvalidValue, "at most 256, not 257"),
        ({"hash": "fnv"}, InvalidValue, "hash must be one of 'sdbm', 'djb2', 'wt6', 'crc32', not 'fnv'"),
        ({"ids": {"a": 0}}, InvalidValue, "the id of 'a' must be at least 1"),
        ({"ids": {"a": 3, "b": 3}}, InvalidValue, "'a' and 'b' have the same id 3"),
        ({"ids": {"c": 3}}, UnknownNode, "no node 'c'"),
        ({"ids": [3]}, InvalidType, "ids must be a mapping"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        haproxy.ring(**{"servers": ["a", "b"], **arguments})
