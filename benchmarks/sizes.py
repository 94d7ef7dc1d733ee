"""Measure the balance, movement, memory and speed of a placement of some number of nodes."""

import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from ringfence.placement import AnchorHash, HashRing, JumpHash, KeyDiff, Maglev, MultiProbe, Rendezvous

COUNTS = (10, 30, 100, 300, 1000, 3000, 10_000)
FEW = [f"user:{i}" for i in range(4000)]  # so few that other work of the machine seldom comes between
HOT = FEW[:64]
KEYS_PER_NODE = 1000
FEWEST_KEYS = 1_000_000
MOST_SCORES = 1 << 31
"""Rendezvous scores every node for every key: more than so many take minutes, and would show chance alone."""

MAKERS: dict[str, Callable[[list[str]], Any]] = {
    "HashRing": HashRing,
    "Maglev": Maglev,
    "AnchorHash": lambda nodes: AnchorHash(nodes, capacity=2 * len(nodes)),
    "JumpHash": JumpHash,
    "MultiProbe": MultiProbe,
    "Rendezvous": Rendezvous,
}


def names(count: int) -> list[str]:
    """Return names of nodes that sort as they are counted."""
    return [f"node{i:05}" for i in range(count)]


def measured(name: str, count: int) -> dict[str, Any]:
    """Return what is measured of a placement beside its look-ups, times in seconds."""
    make, nodes = MAKERS[name], names(count)
    placement = make(nodes)
    found = {
        "placement": name,
        "nodes": count,
        "bytes": memory(make, nodes),
        "build": timed(lambda: make(nodes), 5),
        "hot_key": timed(lambda: one_by_one(placement, HOT), 101) / len(HOT),
        "batch": timed(lambda: placement.lookup_many(FEW), 51) / len(FEW),
    }
    if name != "Rendezvous" or count * FEWEST_KEYS <= MOST_SCORES:
        found |= spread(placement, count)
    return found


def spread(placement: Any, count: int) -> dict[str, float]:
    """Return the loads of the fullest and the emptiest node, as parts of the mean, and what one node more moves.

    `moved` is the part of the keys that moves, times the number of nodes then: 1 is the least possible. `needless` is
    the part of the keys that moves between two nodes that stay.
    """
    numbers = np.arange(max(FEWEST_KEYS, KEYS_PER_NODE * count), dtype=np.uint64)
    load = np.bincount(placement.lookup_many(numbers), minlength=count) / len(numbers) * count
    bigger = placement.with_node("node99999")
    moves = KeyDiff(placement, bigger).affected(numbers)
    elsewhere = moves & (bigger.lookup_many(numbers) != bigger.nodes.index("node99999"))
    return {
        "fullest": float(load.max()),
        "emptiest": float(load.min()),
        "moved": float(moves.mean()) * (count + 1),
        "needless": float(elsewhere.mean()),
    }


def memory(make: Callable[[list[str]], Any], nodes: list[str]) -> int:
    """Return the bytes that a placement holds, without the names."""
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
    """Return the median time of `work`, in seconds, after one time that does not count."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)
