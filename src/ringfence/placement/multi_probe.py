"""Multi-probe consistent hashing."""

from __future__ import annotations

import numpy as np

from ringfence._core import points
from ringfence._core.hashing import murmur3_64_many
from ringfence._core.probes import Probes
from ringfence.placement.arguments import Nodes, equal_weights, integer, sorted_nodes
from ringfence.placement.snapshot import Snapshot


class MultiProbe(Snapshot, Probes):
    """Which node owns which key, by multi-probe consistent hashing (Appleton, O'Reilly 2015, arXiv 1505.00062).

    A ring with a single point for each node, and several probes for each key: the node whose point follows one of
    them most closely owns the key, the next closest hold its replicas. So it needs little memory, and the more probes,
    the less the fullest node has above the mean: about 5% with 21 and very many nodes. A node whose point is close
    behind another's may have much less than the mean. Weights are not taken.

    Equal sets of nodes give equal placements, whatever their order or history.

    >>> MultiProbe(["a", "b", "c"])["user:42"]
    'a'

    Args:
        nodes: names or `Node`s.
        probes: positions of a key, 1 <= probes <= 65535; more make the load more even and look-ups slower.
        seed: 0 <= seed < 2**32; another seed gives other points.
        epoch: which version of the membership this is; it only grows.

    Raises:
        InvalidType: an argument of another type.
        InvalidValue: two nodes of one name, a weight other than 1, or a value out of range.
    """

    __slots__ = ("_epoch", "_members", "_positions", "_probe_count", "_seed")

    def __init__(self, nodes: Nodes = (), *, probes: int = 21, seed: int = 0, epoch: int = 0) -> None:
        members = equal_weights("MultiProbe", sorted_nodes(nodes))
        self._describe(members, epoch)
        self._probe_count = integer("probes", probes, 1, 65535)
        self._seed = integer("seed", seed, 0, (1 << 32) - 1)
        names = tuple(node.name for node in members)
        at, owners = _points(names, self._seed)
        table = points.prefix_table(at)
        super().__init__(names, at, owners, table, points.prefix_shift(len(table) - 1), self._probe_count)

    @property
    def probes(self) -> int:
        """Positions of a key."""
        return self._probe_count

    @property
    def seed(self) -> int:
        """Seed of the points."""
        return self._seed

    def _options(self) -> dict[str, int]:
        return {"probes": self._probe_count, "seed": self._seed}


def _points(names: tuple[str, ...], seed: int) -> tuple[points.Words, points.Indices]:
    hashes = murmur3_64_many(names, seed)
    order = np.argsort(hashes, kind="stable")
    at: points.Words = np.full(len(names) + points.PAD, 0xFFFF_FFFF_FFFF_FFFF, np.uint64)
    at[: len(names)] = hashes[order]
    owners: points.Indices = np.zeros(len(names) + 1, np.uint32)
    owners[:-1] = order
    owners[-1] = owners[0]
    return at, owners
