"""The placement algorithms beside each other, and jump beside `jump-consistent-hash`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ringfence import _core
from ringfence.placement import HashRing, Maglev, jump_hash, jump_hash_many

jump: Any = pytest.importorskip("jump", reason="jump-consistent-hash is not installed")

STRINGS = [f"user:{i}" for i in np.random.default_rng(1).integers(100_000, 1_000_000, 4096)]
NUMBERS = np.random.default_rng(2).integers(0, 1 << 63, 16_384, dtype=np.uint64)
LIST = NUMBERS.tolist()

pytestmark = pytest.mark.skipif(_core.IMPLEMENTATION != "c", reason="targets of the compiled core")


def names(count: int) -> list[str]:
    return [f"node{i}" for i in range(count)]


def jumps(function: Any) -> Callable[[], None]:
    def work() -> None:
        for key in LIST:
            function(key, 100)

    return work


def lookups(placement: Any) -> Callable[[], None]:
    def work() -> None:
        for key in STRINGS:
            placement[key]

    return work


def test_jump_one_key(race: Any) -> None:
    race("jump, 100 buckets, one key", jumps(jump_hash), jumps(jump.hash), operations=len(LIST), at_least=1.3)


def test_jump_batch(race: Any) -> None:
    race(
        "jump, 100 buckets, batch / loop over the peer",
        lambda: jump_hash_many(NUMBERS, 100),
        jumps(jump.hash),
        operations=len(LIST),
        at_least=5,
    )


@pytest.mark.parametrize(("count", "at_most"), [(100, 1.0), (1000, 0.8)])
def test_maglev_one_key(race: Any, count: int, at_most: float) -> None:
    race(
        f"Maglev / ring, {count} nodes, one key",
        lookups(Maglev(names(count))),
        lookups(HashRing(names(count))),
        operations=len(STRINGS),
        at_most=at_most,
    )


@pytest.mark.parametrize(("count", "at_most"), [(100, 1.0), (1000, 0.8)])
def test_maglev_batch(race: Any, count: int, at_most: float) -> None:
    ring, maglev = HashRing(names(count)), Maglev(names(count))
    race(
        f"Maglev / ring, {count} nodes, batch of str",
        lambda: maglev.lookup_many(STRINGS),
        lambda: ring.lookup_many(STRINGS),
        operations=len(STRINGS),
        at_most=at_most,
    )


def test_replicas_of_a_batch(race: Any) -> None:
    ring = HashRing(names(100))
    race(
        "replicas_many(3) / lookup_many, str",
        lambda: ring.replicas_many(STRINGS, 3),
        lambda: ring.lookup_many(STRINGS),
        operations=len(STRINGS),
        at_most=2,
    )
