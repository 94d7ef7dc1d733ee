"""The rings of other Python libraries: recorded answers, and the libraries themselves where they are light."""

import importlib
from bisect import bisect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.compat import fastring, hashring, tooz, uhashring
from ringfence.errors import InvalidType, InvalidValue

Vectors = Callable[[str], Any]
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
pools = st.dictionaries(names, st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=6)
texts = st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=20)


def library(name: str) -> ModuleType:
    """Return an installed library; its absence fails the test, for nothing is skipped in silence."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        pytest.fail(f"{name} is missing: pip install --group test --group compat-test")


def test_uhashring_as_recorded(vectors: Vectors) -> None:
    for case in vectors("uhashring")["cases"]:
        ring = uhashring.ring(case["nodes"], mode="ketama" if case["mode"] == "ketama" else "default")
        assert [ring[key] for key, _ in case["lookups"]] == [node for _, node in case["lookups"]]


def test_hashring_as_recorded(vectors: Vectors) -> None:
    for case in vectors("hashring")["cases"]:
        ring = hashring.ring(case["nodes"])
        assert [ring[key] for key, _ in case["lookups"]] == [node for _, node in case["lookups"]]


def test_tooz_as_recorded(vectors: Vectors) -> None:
    for case in vectors("tooz")["cases"]:
        ring = tooz.ring(case["nodes"], case["partitions"])
        for key, node, three in case["lookups"]:
            assert ring[key] == ring[key.encode()] == node
            assert sorted(ring.replicas(key, 3)) == three


def test_fastring_as_recorded(vectors: Vectors) -> None:
    for case in vectors("fastring_xxh3")["cases"]:
        ring = fastring.ring(case["nodes"], case["virtual_nodes"])
        for key, node, three in case["key_node_replicas3"]:
            assert ring[key] == node
            assert list(ring.replicas(key, 3)) == three


@pytest.mark.parametrize(("mode", "options"), [("default", {}), ("ketama", {"hash_fn": "ketama"})])
@settings(max_examples=25, deadline=None)
@given(pool=pools, texts=texts)
def test_uhashring_itself(mode: str, options: dict[str, str], pool: dict[str, int], texts: list[str]) -> None:
    peer = library("uhashring").HashRing(dict(pool), vnodes=20, **options)
    ring = uhashring.ring(pool, mode, vnodes=20)
    keys: list[Any] = [*texts, 5, None, b"bytes", 1.5]
    assert [ring[key] for key in keys] == [peer.get_node(key) for key in keys]
    assert [ring.nodes[i] for i in ring.lookup_many(keys)] == [ring[key] for key in keys]
    walks = [[node["nodename"] for node in peer.range(key, 3)] for key in keys]
    assert [list(ring.replicas(key, 3)) for key in keys] == walks
    for point, _ in ring.points[:5]:  # a key exactly on a point belongs to the next
        following = bisect(peer._keys, point) % len(peer._keys)
        assert ring.at(point) == peer.ring[peer._keys[following]]


@settings(max_examples=25, deadline=None)
@given(pool=st.dictionaries(names, st.sampled_from([1, 2, 0.5, 3.25]), min_size=1, max_size=6), texts=texts)
def test_hashring_itself(pool: dict[str, float], texts: list[str]) -> None:
    peer, ring = library("hashring").HashRing(list(pool), pool), hashring.ring(pool)
    assert [ring[key] for key in texts] == [peer.get_node(key) for key in texts]
    assert [ring.replicas(key, 6) for key in texts] == [tuple(peer.iterate_nodes(key)) for key in texts]


def test_a_weight_of_0_in_uhashring_is_a_node_without_keys() -> None:
    ring = uhashring.ring({"a": 1, "b": 0})
    assert ring.replicas("key", 2) == ("a",)
    with pytest.raises(InvalidValue, match="above 0"):
        uhashring.ring({"a": 0})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: uhashring.ring(["a"], "libketama"), "mode must be one of 'default', 'ketama'"),
        (lambda: uhashring.ring(["a"], vnodes=0), "vnodes must be at least 1"),
        (lambda: uhashring.ring({"a": -1}), "at least 0"),
        (lambda: hashring.ring({"a": 0}), "finite and above 0"),
        (lambda: hashring.ring({"a": float("inf")}), "finite and above 0"),
        (lambda: hashring.ring([]), "at least one node"),
        (lambda: tooz.ring(["a"], 0), "partitions must be at least 1"),
        (lambda: tooz.ring({"a": 0}), "at least 1"),
        (lambda: tooz.ring(["\ud800"]), "surrogates"),
        (lambda: fastring.ring(["a"], 0), "virtual_nodes must be at least 1"),
        (lambda: fastring.ring(["a", "a"]), "named twice"),
    ],
)
def test_bad_values(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: uhashring.ring({"a": 1.5}),
        lambda: hashring.ring({"a": "1"}),
        lambda: hashring.ring(["a"])[b"key"],
        lambda: fastring.ring(["a"])[b"key"],
        lambda: tooz.ring("a"),
    ],
)
def test_bad_types(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidType):
        make()
