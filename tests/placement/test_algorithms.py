"""Every algorithm against a slow and obvious twin of it, written here from its definition."""

import json
import math
import pickle
from pathlib import Path
from random import Random
from typing import Any

import mmh3
import numpy as np
import pytest
import xxhash
from hypothesis import assume, given
from hypothesis import strategies as st

from ringfence._core.hashing import key_hash, mix64
from ringfence._core.maglev import Slots, fill
from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement import (
    AnchorHash,
    JumpHash,
    Maglev,
    MultiProbe,
    Rendezvous,
    jump_hash,
    jump_hash_many,
)

VECTORS = Path(__file__).parent.parent / "vectors"
SPACE = 1 << 64
KEYS: list[Any] = [
    "",
    "a",
    "é",
    b"\xff",
    0,
    1,
    SPACE - 1,
    *(f"user:{i}" for i in range(40)),
    *range(100, 140),
]
NAMES = st.lists(st.text("abcdefghij", min_size=1, max_size=4), min_size=1, max_size=12, unique=True)
WEIGHTS = st.dictionaries(
    st.text("abcdefghij", min_size=1, max_size=4), st.floats(0.01, 100), min_size=1, max_size=12
)


def agrees(placement: Any, preferences: list[list[str]]) -> None:
    """Check owners and replicas of KEYS, alone and in a batch, against lists of all nodes in order of preference."""
    names = np.array(placement.nodes)
    assert names[placement.lookup_many(KEYS)].tolist() == [order[0] for order in preferences]
    for n in {1, min(3, len(names)), len(names)}:
        assert names[placement.replicas_many(KEYS, n)].tolist() == [order[:n] for order in preferences]
    for key, order in zip(KEYS, preferences, strict=True):
        assert placement[key] == placement.lookup(key) == order[0]
        assert placement.replicas(key, len(names) + 3) == tuple(order)


def splitmix(state: int, number: int) -> int:
    x = (state + (number + 1) * 0x9E3779B97F4A7C15) % SPACE
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % SPACE
    x = (x ^ x >> 27) * 0x94D049BB133111EB % SPACE
    return x ^ x >> 31


def first_met(names: list[str], draws: Any) -> list[str]:
    """Return all names in the order in which an endless iterator draws them."""
    found: dict[str, None] = {}
    while len(found) < len(names):
        found[next(draws)] = None
    return list(found)


# --- jump -----------------------------------------------------------------------------------------------------


def slow_jump(key: int, buckets: int) -> int:
    bucket, further = -1, 0
    while further < buckets:
        bucket = further
        key = (key * 2862933555777941757 + 1) % SPACE
        further = int((bucket + 1) * (float(1 << 31) / float((key >> 33) + 1)))
    return bucket


@pytest.mark.parametrize("buckets", [(1 << 31) - 1, 1 << 30, 123_456_789, 1_000_000, 666])
def test_a_jump_alone_is_one_of_a_batch(buckets: int) -> None:
    keys = np.random.default_rng(2).integers(0, 1 << 63, 20_000, dtype=np.uint64) * np.uint64(2) + np.uint64(
        1
    )
    assert jump_hash_many(keys, buckets).tolist() == [jump_hash(key, buckets) for key in keys.tolist()]


@given(st.integers(0, SPACE - 1), st.integers(1, (1 << 31) - 1))
def test_jump_is_the_program_of_the_paper(key: int, buckets: int) -> None:
    for count in (buckets, buckets % 1000 + 1):
        assert jump_hash(key, count) == slow_jump(key, count) == jump_hash_many([key], count)[0]


@pytest.mark.parametrize("buckets", [2, 100, 256, 257, 1 << 20, (1 << 31) - 1])
def test_jumps_by_a_divisor_are_rounded_as_in_the_paper(buckets: int) -> None:
    undo, random = pow(2862933555777941757, -1, SPACE), Random(1)
    divisors = [*range(1, 500), *(1 << bits for bits in range(9, 31)), *range((1 << 31) - 200, (1 << 31) + 1)]
    for divisor in divisors:  # of the first jump, then of the second
        first = ((divisor - 1 << 33 | random.getrandbits(33)) - 1) * undo % SPACE
        for key in (first, (first - 1) * undo % SPACE):
            assert jump_hash(key, buckets) == jump_hash_many([key], buckets)[0] == slow_jump(key, buckets)


@pytest.mark.parametrize("buckets", [1, 2, 10, 1000, 100_000, (1 << 31) - 1])
def test_a_batch_of_jumps_is_many_jumps(buckets: int) -> None:
    keys = np.random.default_rng(1).integers(0, 1 << 63, 1500, dtype=np.uint64) * np.uint64(2)
    for count in (0, 1, 255, 256, 257, 1500):
        got = jump_hash_many(keys[:count], buckets)
        assert got.dtype == np.uint32
        assert got.tolist() == [jump_hash(key, buckets) for key in keys[:count].tolist()]
    assert jump_hash_many(keys.tolist(), buckets).tolist() == jump_hash_many(keys, buckets).tolist()


def test_jump_vectors() -> None:
    vectors = json.loads((VECTORS / "jump_hash.json").read_text())
    for key, buckets in vectors["growth"]:
        assert [jump_hash(int(key), count) for count in range(1, len(buckets) + 1)] == buckets
    assert [jump_hash(key, 100) for key in range(len(vectors["golden100"]))] == vectors["golden100"]
    for key, count, bucket in vectors["cases"]:
        assert jump_hash(int(key), count) == bucket


@given(NAMES)
def test_jump_placement(names: list[str]) -> None:
    def draws(h: int) -> Any:
        yield names[slow_jump(h, len(names))]
        yield from (names[slow_jump(splitmix(h, i), len(names))] for i in range(10**9))

    agrees(JumpHash(names), [first_met(names, draws(key_hash(key))) for key in KEYS])


Wrong: Any = jump_hash
WrongAnchor: Any = AnchorHash


@pytest.mark.parametrize("function", [jump_hash, lambda key, buckets: jump_hash_many([key], buckets)])
@pytest.mark.parametrize("buckets", [0, -1, 1 << 31, 1 << 70])
def test_jump_refuses_a_number_of_buckets_that_cannot_be(function: Any, buckets: int) -> None:
    with pytest.raises(InvalidValue, match=f"buckets.*{buckets}"):
        function(1, buckets)


def test_jump_refuses_other_arguments() -> None:
    with pytest.raises(InvalidType, match=r"buckets.*2.0"):
        Wrong(1, 2.0)
    with pytest.raises(InvalidType, match=r"buckets.*True"):
        Wrong(1, True)
    with pytest.raises(InvalidType, match="'a'"):
        Wrong("a", 3)
    with pytest.raises(InvalidValue, match="-1"):
        Wrong(-1, 3)
    with pytest.raises(InvalidValue, match="-1"):
        jump_hash_many(np.array([1, -1]), 3)


# --- rendezvous -----------------------------------------------------------------------------------------------


@given(WEIGHTS, st.integers(0, (1 << 32) - 1))
def test_rendezvous_is_the_order_of_scores(weights: dict[str, float], seed: int) -> None:
    def score(key: Any, name: str) -> float:
        x = mix64(key_hash(key) ^ mmh3.mmh3_x64_128_utupledigest(name.encode(), seed)[0])
        return -weights[name] / math.log(((x >> 12) + 0.5) / 2**52)

    preferences = [sorted(sorted(weights), key=lambda name: -score(key, name)) for key in KEYS]
    agrees(Rendezvous(weights, seed=seed), preferences)


@pytest.mark.parametrize(
    "weights", [{"a": 5e-324, "b": 1e308}, {"a": 1e308, "b": 1e308}, {"a": 1e-300, "b": 1e-300}]
)
def test_rendezvous_takes_any_weight(weights: dict[str, float]) -> None:
    share = float(Rendezvous(weights).lookup_many(np.arange(20_000, dtype=np.uint64)).mean())
    assert share == pytest.approx(weights["b"] / (weights["a"] / 2 + weights["b"] / 2) / 2, abs=0.02)


# --- multi-probe ----------------------------------------------------------------------------------------------


@given(NAMES, st.integers(1, 30), st.integers(0, (1 << 32) - 1))
def test_multi_probe_is_the_order_of_distances(names: list[str], probes: int, seed: int) -> None:
    points = {name: mmh3.mmh3_x64_128_utupledigest(name.encode(), seed)[0] for name in names}

    def distance(key: Any, name: str) -> int:
        h = key_hash(key)
        return min((points[name] - (h + i * (mix64(h) | 1))) % SPACE for i in range(probes))

    preferences = [sorted(names, key=lambda name: distance(key, name)) for key in KEYS]
    agrees(MultiProbe(names, probes=probes, seed=seed), preferences)


# --- Maglev ---------------------------------------------------------------------------------------------------


def slow_maglev(
    names: list[str], weights: list[float], permutations: list[list[int]], size: int
) -> list[str]:
    table: list[Any] = [None] * size
    targets = [0.0] * len(names)
    turn = 0
    while None in table:
        turn += 1
        for i, name in enumerate(names):
            if turn * weights[i] >= targets[i] and None in table:
                targets[i] += max(weights)
                table[next(slot for slot in permutations[i] if table[slot] is None)] = name
    return table


@given(WEIGHTS, st.sampled_from([13, 17, 101]))
def test_maglev_is_a_table_filled_by_turns(weights: dict[str, float], size: int) -> None:
    names = sorted(weights)
    permutations = []
    for name in names:
        offset = xxhash.xxh64_intdigest(name.encode()) % size
        skip = xxhash.xxh64_intdigest(name.encode(), 1) % (size - 1) + 1
        permutations.append([(offset + i * skip) % size for i in range(size)])
    table = slow_maglev(names, [weights[name] for name in names], permutations, size)
    starts = [key_hash(key) % size for key in KEYS]
    agrees(Maglev(weights, table_size=size), [list(dict.fromkeys(table[at:] + table[:at])) for at in starts])


@pytest.mark.parametrize("size", [2, 3, 65537, 655373])
def test_the_slot_is_the_remainder(size: int) -> None:
    slots = Slots(tuple(map(str, range(size))), np.arange(size, dtype=np.uint32))
    edges = [h for i in (1, 2, 12345, SPACE // size) for h in (i * size - 1, i * size, i * size + 1)]
    hashes = np.array([h for h in (0, SPACE - 1, SPACE - size, *edges) if h < SPACE], np.uint64)
    assert slots.search(hashes).tolist() == [int(h) % size for h in hashes]


def test_the_tables_of_envoy() -> None:
    for case in json.loads((VECTORS / "envoy_maglev.json").read_text())["cases"]:
        weights = case.get("weights") or case["normalized_weights"]
        maglev = Maglev(dict(zip(case["hosts"], weights, strict=True)), table_size=case["table_size"])
        assert maglev.table.tolist() == case["table"], case["name"]


def test_the_tables_of_the_paper() -> None:
    """Table 1 of Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016."""
    offsets, skips, weights = np.array([3, 0, 3], np.uint64), np.array([4, 2, 1], np.uint64), np.ones(3)
    assert fill(offsets, skips, weights, 7).tolist() == [1, 0, 1, 0, 2, 2, 0]
    assert fill(offsets[::2].copy(), skips[::2].copy(), weights[::2].copy(), 7).tolist() == [
        0,
        0,
        0,
        0,
        1,
        1,
        1,
    ]


@given(st.integers(2, 5000))
def test_maglev_wants_a_prime(size: int) -> None:
    primes = [n for n in range(2, 5100) if all(n % d for d in range(2, math.isqrt(n) + 1))]
    if size in primes:
        assert Maglev(["a", "b"], table_size=size).table_size == size
    else:
        with pytest.raises(
            InvalidValue, match=f"{size}; the next one is {next(p for p in primes if p > size)}$"
        ):
            Maglev(["a"], table_size=size)


@pytest.mark.parametrize("size", [0, 1, -7, 1 << 28])
def test_maglev_wants_a_sensible_size(size: int) -> None:
    with pytest.raises(InvalidValue, match=f"table_size.*{size}"):
        Maglev(["a"], table_size=size)


@pytest.mark.slow
def test_a_giant_table() -> None:
    maglev = Maglev(["a", "b", "c"], table_size=16_777_213)
    assert np.bincount(maglev.table).tolist() == [5_592_405, 5_592_404, 5_592_404]
    assert [maglev.nodes[i] for i in maglev.lookup_many(KEYS)] == [maglev[key] for key in KEYS]


def test_maglev_wants_a_slot_for_every_node() -> None:
    assert set(Maglev(dict.fromkeys("abcdefg", 1) | {"g": 1e-9}, table_size=7)) == set("abcdefg")
    assert sorted(Maglev({"a": 1e9, "b": 1, "c": 1}, table_size=3).table.tolist()) == [0, 1, 2]
    with pytest.raises(InvalidValue, match="7 slots is too small for 8 nodes; take 809"):
        Maglev(["a", "b", "c", "d", "e", "f", "g", "h"], table_size=7)


# --- AnchorHash -----------------------------------------------------------------------------------------------


class SlowAnchor:
    """The paper's Algorithm 1: the working set after each removal, written down whole."""

    def __init__(self, names: list[str], capacity: int) -> None:
        self.capacity = capacity
        self.names = dict(enumerate(names))
        self.removed: list[tuple[int, list[int]]] = []
        self.working = list(range(capacity))
        for bucket in range(capacity - 1, len(names) - 1, -1):
            self._take_out(bucket)

    def _take_out(self, bucket: int) -> None:
        before = list(self.working)
        last = self.working.pop()
        if last != bucket:
            self.working[self.working.index(bucket)] = last
        self.removed.append((bucket, before))

    def remove(self, name: str) -> None:
        bucket = next(bucket for bucket, other in self.names.items() if other == name)
        del self.names[bucket]
        self._take_out(bucket)

    def add(self, name: str) -> None:
        bucket, self.working = self.removed.pop()
        self.names[bucket] = name

    def owner(self, h: int) -> str:
        bucket = (h >> 32) * self.capacity >> 32
        after = {b: self.after(i) for i, (b, _) in enumerate(self.removed)}
        while bucket in after:
            left = after[bucket]
            bucket = left[(splitmix(h, bucket) >> 32) * len(left) >> 32]
        return self.names[bucket]

    def after(self, i: int) -> list[int]:
        return self.removed[i + 1][1] if i + 1 < len(self.removed) else self.working

    def preference(self, h: int) -> list[str]:
        def draws() -> Any:
            yield self.owner(h)
            yield from (self.owner(splitmix(SPACE - 1 - h, i)) for i in range(10**9))

        return first_met(list(self.names.values()), draws())


@given(NAMES, st.integers(0, 10), st.lists(st.integers(0, 100), max_size=12), st.data())
def test_anchor_is_the_paper_s_whatever_comes_and_goes(
    names: list[str], spare: int, steps: list[int], data: st.DataObject
) -> None:
    anchor, slow = AnchorHash(names, capacity=len(names) + spare), SlowAnchor(names, len(names) + spare)
    for step in steps:
        if step % 2 and len(anchor) > 1:
            name = anchor.nodes[step % len(anchor)]
            anchor = anchor.without_node(name)
            slow.remove(name)
        elif len(anchor) < anchor.capacity:
            name = f"new{anchor.epoch}"
            anchor = anchor.with_node(name)
            slow.add(name)
    assert anchor.nodes == tuple(slow.names[bucket] for bucket in sorted(slow.names))
    agrees(anchor, [slow.preference(key_hash(key)) for key in KEYS])


@given(NAMES, st.integers(1, 5))
def test_an_anchor_undoes_removals_in_reverse(names: list[str], count: int) -> None:
    assume(len(names) > count)
    anchor = AnchorHash(names, capacity=20)
    gone, smaller = [], anchor
    for _ in range(count):
        gone.append(smaller.nodes[len(smaller) // 2])
        smaller = smaller.without_node(gone[-1])
    for name in reversed(gone):
        smaller = smaller.with_node(name)
    assert smaller == anchor


@pytest.mark.parametrize("kind", [tuple, np.array, lambda r: np.array(r, np.uint32), iter])
def test_an_anchor_is_handed_on_by_its_removed_buckets(kind: Any) -> None:
    anchor = AnchorHash([f"n{i}" for i in range(9)], capacity=20).without_node("n3").without_node("n0")
    again = AnchorHash(list(anchor.nodes), capacity=20, removed=kind(anchor.removed))
    assert again == anchor
    assert hash(again) == hash(anchor)
    assert again.removed == anchor.removed
    assert pickle.loads(pickle.dumps(anchor)) == anchor
    assert [again[key] for key in range(500)] == [anchor[key] for key in range(500)]
    other = AnchorHash(list(anchor.nodes), capacity=20, removed=kind(anchor.removed[::-1]))
    assert other != anchor


def test_an_anchor_has_no_more_nodes_than_its_capacity() -> None:
    full = AnchorHash(["a", "b"], capacity=2)
    with pytest.raises(InvalidValue, match=r"all 2 buckets.*'c'"):
        full.with_node("c")
    with pytest.raises(InvalidValue, match=r"capacity of 1.*2 nodes"):
        AnchorHash(["a", "b"], capacity=1)
    for removed in ([0], [1, 1], [1, 2, 0]):
        with pytest.raises(InvalidValue, match="leave 2 buckets"):
            AnchorHash(["a"], capacity=3, removed=removed)
    with pytest.raises(InvalidValue, match="3"):
        AnchorHash(["a"], capacity=3, removed=[1, 3])
    anything: Any = 5
    with pytest.raises(InvalidType, match=r"removed.*5"):
        AnchorHash(["a"], capacity=3, removed=anything)
    with pytest.raises(TypeError, match="capacity"):
        WrongAnchor(["a"])
