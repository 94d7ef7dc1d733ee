"""Rendezvous hashing."""

from __future__ import annotations

import math

import numpy as np

from ringfence._core.hashing import murmur3_64_many
from ringfence._core.rendezvous import Scores
from ringfence.placement.arguments import Nodes, integer, sorted_nodes
from ringfence.placement.node import Node
from ringfence.placement.snapshot import Snapshot


class Rendezvous(Snapshot, Scores):
    """Which node owns which key, by weighted rendezvous hashing (highest random weight).

    Each node has a score for each key, `-weight / ln(u)` with `u` a hash of both in 0 < u < 1; the highest owns the
    key, the next ones hold its replicas. So weights are exact, no node matters to the order of the others, and a
    key's replicas move up when its owner leaves. A look-up takes time in proportion to the number of nodes.

    Equal sets of nodes give equal placements, whatever their order or history.

    >>> Rendezvous({"a": 1, "b": 2, "c": 0.5})["user:42"]
    'a'

    Args:
        nodes: names, `Node`s, or a mapping of names to weights.
        seed: 0 <= seed < 2**32; another seed gives other scores.
        epoch: which version of the membership this is; it only grows.

    Raises:
        InvalidType: an argument of another type.
        InvalidValue: two nodes of one name, or a value out of range.
    """

    __slots__ = ("_epoch", "_members", "_positions", "_seed")

    def __init__(self, nodes: Nodes = (), *, seed: int = 0, epoch: int = 0) -> None:
        members = sorted_nodes(nodes)
        self._describe(members, epoch)
        self._seed = integer("seed", seed, 0, (1 << 32) - 1)
        names = tuple(node.name for node in members)
        super().__init__(names, murmur3_64_many(names, self._seed), _scaled(members))

    @property
    def seed(self) -> int:
        """Seed of the scores."""
        return self._seed

    def _options(self) -> dict[str, int]:
        return {"seed": self._seed}


def _scaled(members: tuple[Node, ...]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    # By a power of two, which changes no comparison, so that no score overflows.
    exponent = math.frexp(max((node.weight for node in members), default=1.0))[1]
    return np.array([math.ldexp(node.weight, -exponent) for node in members], np.float64)
