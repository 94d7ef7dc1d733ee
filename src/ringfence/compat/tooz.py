"""The ring of OpenStack's tooz."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from hashlib import md5
from typing import Any

from ringfence.compat import _md5
from ringfence.compat._arguments import integer, members, point_count, utf8, whole
from ringfence.compat._ring import Ring, Rule, last_wins


def ring(nodes: Mapping[str, int] | Iterable[str], partitions: int = 32) -> Ring:
    """Return the ring of `tooz.hashring.HashRing(nodes, partitions)`, or of a `tooz.partitioner.Partitioner`.

    Follows tooz 9.1.0, `tooz/hashring.py`, with its default hash MD5. There a key is bytes; a str is taken as its
    UTF-8. `replicas` gives in the order of the ring what tooz gives as a set.

    Args:
        nodes: names, or names with their weights, as `add_node(name, weight)` takes them.
        partitions: points of a node of weight 1.

    Raises:
        InvalidType: a name that is no str, a weight or `partitions` that is no int.
        InvalidValue: a weight or `partitions` less than 1, no node, or one named twice.
    """
    partitions = integer("partitions", partitions, 1)
    named = members(nodes, whole(1))
    point_count(partitions * sum(named.values()))
    points = last_wins(
        (point, owner)
        for owner, (name, weight) in enumerate(named.items())
        for point in _points(utf8(name), partitions * weight)
    )
    rule = Rule("tooz", _md5.number, bits=128, after=True, digest="md5", takes_bytes=True)
    return Ring(named, points, rule, partial(ring, partitions=partitions))


def _points(name: bytes, count: int) -> list[int]:
    digest: Any = md5(name, usedforsecurity=False)
    points = []
    for _ in range(count):
        digest.update(name)
        points.append(int.from_bytes(digest.digest(), "big"))
    return points
