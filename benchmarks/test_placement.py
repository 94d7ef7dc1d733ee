"""Placement beside dict, uhashring, fastring and NumPy: 100 nodes of 160 vnodes and keys like `user:123456`."""

import random
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ringfence import _core
from ringfence._core import _twins
from ringfence.placement import HashRing

uhashring = pytest.importorskip("uhashring")
fastring: Any = import_module("fastring") if find_spec("fastring") else None

RANDOM = random.Random(1)
KEYS = [f"user:{RANDOM.randrange(100_000, 1_000_000)}" for _ in range(4096)]
NODES = [f"node{i}" for i in range(100)]
THOUSAND = [f"node{i}" for i in range(1000)]

needs_fastring = pytest.mark.skipif(fastring is None, reason="fastring has wheels for CPython 3.13 only")
compiled = pytest.mark.skipif(_core.IMPLEMENTATION != "c", reason="a target of the compiled core")


@pytest.fixture(scope="module")
def rings() -> SimpleNamespace:
    peers = SimpleNamespace(ours=HashRing(NODES), uhashring=uhashring.HashRing(NODES), fastring=None)
    if fastring is not None:
        peers.fastring = fastring.HashRing(160)
        for name in NODES:
            peers.fastring.add_node(name)
    return peers


def subscripts(mapping: Any) -> Callable[[], None]:
    def work() -> None:
        for key in KEYS:
            mapping[key]

    return work


def calls(function: Callable[[str], Any]) -> Callable[[], None]:
    def work() -> None:
        for key in KEYS:
            function(key)

    return work


def triples(function: Callable[[str, int], Any]) -> Callable[[], None]:
    def work() -> None:
        for key in KEYS:
            function(key, 3)

    return work


@compiled
def test_subscript_beside_dict(race: Any, rings: SimpleNamespace) -> None:
    known = {key: rings.ours[key] for key in KEYS}
    race(
        "ring[key] / dict[key]",
        subscripts(rings.ours),
        subscripts(known),
        operations=4096,
        at_most=1.5,
        rounds=300,
    )


@compiled
def test_subscript_beside_uhashring(race: Any, rings: SimpleNamespace) -> None:
    peer = calls(rings.uhashring.get_node)
    race("ring[key], uhashring", subscripts(rings.ours), peer, operations=4096, at_least=45, rounds=80)


@compiled
@needs_fastring
def test_subscript_beside_fastring(race: Any, rings: SimpleNamespace) -> None:
    peer = calls(rings.fastring.get_node)
    race("ring[key], fastring", subscripts(rings.ours), peer, operations=4096, at_least=3.5, rounds=200)


@compiled
def test_many_beside_uhashring(race: Any, rings: SimpleNamespace) -> None:
    peer = calls(rings.uhashring.get_node)
    ours = rings.ours.lookup_many
    race("lookup_many(list), uhashring", lambda: ours(KEYS), peer, operations=4096, at_least=60, rounds=80)


@compiled
@needs_fastring
@pytest.mark.parametrize("count", [4096, 1_000_000])
def test_many_beside_fastring(race: Any, rings: SimpleNamespace, count: int) -> None:
    keys = KEYS if count == len(KEYS) else [f"user:{i}" for i in range(count)]
    ours, peer = rings.ours.lookup_many, rings.fastring.get_node_batch
    race(
        f"lookup_many({count:,} str), fastring",
        lambda: ours(keys),
        lambda: peer(keys),
        operations=count,
        at_least=6,
        rounds=200 if count < 10_000 else 7,
    )


@compiled
@pytest.mark.parametrize("count", [65_536, 1_000_000])
def test_an_arrow_column_beside_a_list(race: Any, rings: SimpleNamespace, count: int) -> None:
    pa: Any = pytest.importorskip("pyarrow")
    keys = [f"user:{i}" for i in range(count)]
    column, ours = pa.array(keys), rings.ours.lookup_many
    race(
        f"lookup_many(Arrow column), list of {count:,} str",
        lambda: ours(column),
        lambda: ours(keys),
        operations=count,
        at_most=0.9,
        rounds=100 if count < 100_000 else 9,
    )


@compiled
@pytest.mark.parametrize("nodes", [100, 1000])
def test_hashes_beside_searchsorted(race: Any, nodes: int) -> None:
    ring = HashRing(THOUSAND[:nodes])
    hashes = np.random.default_rng(1).integers(0, 1 << 64, 1_000_000, dtype=np.uint64)
    points = ring.points[:-4].copy()
    fast_numpy = tuple(map(int, np.__version__.split(".")[:2])) >= (2, 5)
    race(
        f"1,000,000 hashes, searchsorted of NumPy {np.__version__}, {nodes} nodes",
        lambda: ring.search(hashes),
        lambda: np.searchsorted(points, hashes),
        operations=1_000_000,
        at_least=2 if fast_numpy else 10,
        rounds=7,
    )


@compiled
@needs_fastring
def test_replicas_beside_fastring(race: Any, rings: SimpleNamespace) -> None:
    ours, peer = triples(rings.ours.replicas), triples(rings.fastring.get_replicas)
    race("three replicas, fastring", ours, peer, operations=4096, at_least=2.5, rounds=100)


@compiled
def test_build(race: Any) -> None:
    race("build of 1000 x 160", lambda: HashRing(THOUSAND), at_most=15e-3, rounds=15)


@compiled
def test_add_a_node(race: Any) -> None:
    ring = HashRing(THOUSAND)
    race("add a node to 1000 x 160", lambda: ring.with_node("node500b"), at_most=0.2e-3, rounds=100)


def test_diff(race: Any) -> None:
    ring = HashRing(THOUSAND)
    other = ring.with_node("node500b")
    race("diff of two rings of 1000 x 160", lambda: ring.diff(other), at_most=0.1, rounds=7)


@pytest.mark.parametrize("nodes", [100, 1000])
def test_memory(note: Any, benchmark: Any, nodes: int) -> None:
    ring = HashRing(THOUSAND[:nodes])
    each = benchmark.pedantic(
        lambda: (ring.points.nbytes + ring.owners.nbytes + ring.table.nbytes) / (nodes * 160)
    )
    note(f"bytes a vnode, {nodes} nodes", f"{each:.1f} B", "<= 24 B", each <= 24)


def test_the_pure_twin(race: Any) -> None:
    for name in ("columns", "hashing", "points"):
        module = _twins.load(name, "python", prefix="pure_twin")
    ring = module.Points(tuple(sorted(NODES)), *module.build(sorted(NODES), [160] * 100, 0))
    race("ring[key], pure twin", subscripts(ring), operations=4096, at_most=0.6e-6, rounds=50)
