"""Measure the balance, movement, memory and speed of every placement, and print the table of docs/algorithms.md.

`python benchmarks/algorithms.py [number of nodes …]`; 10, 100 and 1000 where none is given.
"""

import sys
import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from ringfence.placement import AnchorHash, HashRing, JumpHash, KeyDiff, Maglev, MultiProbe, Rendezvous

KEYS = [f"user:{i}" for i in range(20_000)]
NUMBERS = np.arange(1_000_000, dtype=np.uint64)
MAKERS: dict[str, Callable[[list[str]], Any]] = {
    "`HashRing`": HashRing,
    "`Maglev`": Maglev,
    "`AnchorHash`": lambda nodes: AnchorHash(nodes, capacity=2 * len(nodes)),
    "`JumpHash`": JumpHash,
    "`MultiProbe`": MultiProbe,
    "`Rendezvous`": Rendezvous,
}


def main(counts: list[int]) -> None:
    """Print one table."""
    print("| nodes | placement | fullest | emptiest | moved | needless | bytes | build | one key | batch |")
    print("|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for count in counts:
        for name, make in MAKERS.items():
            print(f"| {count} | {name} | {' | '.join(cells(make, count))} |", flush=True)


def cells(make: Callable[[list[str]], Any], count: int) -> list[str]:
    """Return what is measured of one placement."""
    nodes = [f"node{i:04}" for i in range(count)]
    placement = make(nodes)
    load = np.bincount(placement.lookup_many(NUMBERS), minlength=count) / len(NUMBERS) * count
    moved, needless = movement(placement)
    return [
        f"{load.max():.2f}",
        f"{load.min():.2f}",
        f"{moved * (count + 1):.2f}",
        f"{needless:.2%}",
        f"{memory(make, nodes):,}",
        shown(timed(lambda: make(nodes), 5)),
        shown(timed(lambda: one_by_one(placement, KEYS[:2000]), 9) / 2000),
        shown(timed(lambda: placement.lookup_many(KEYS), 9) / len(KEYS)),
    ]


def movement(placement: Any) -> tuple[float, float]:
    """Return the part of the keys that a node more moves, and the part that moves elsewhere than to it."""
    bigger = placement.with_node("node9999")
    moves = KeyDiff(placement, bigger).affected(NUMBERS)
    new = bigger.nodes.index("node9999")
    return float(moves.mean()), float((moves & (bigger.lookup_many(NUMBERS) != new)).mean())


def memory(make: Callable[[list[str]], Any], nodes: list[str]) -> int:
    """Return the bytes a placement holds, without the names."""
    others = [make(nodes) for _ in range(3)]  # in the memory of dead placements, which would go unseen
    tracemalloc.start()
    kept = make(nodes)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept, others
    return size


def one_by_one(placement: Any, keys: list[str]) -> None:
    """Look each key up alone."""
    for key in keys:
        placement[key]


def timed(work: Callable[[], object], rounds: int) -> float:
    """Return the median time of `work`, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def shown(seconds: float) -> str:
    """Write a time with a fitting unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]] or [10, 100, 1000])
