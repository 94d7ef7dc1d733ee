"""The ring of the Python library fastring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from ringfence._core.digests import digest
from ringfence.compat._arguments import integer, members, point_count, utf8, whole
from ringfence.compat._ring import Ring, Rule, in_order
from ringfence.errors import InvalidType


def ring(nodes: Mapping[str, int] | Iterable[str], virtual_nodes: int = 128) -> Ring:
    """Return the ring of `fastring.HashRing(virtual_nodes=...)` with these nodes added in this order.

    Follows fastring 0.2.1, `src/ring.rs`: points and keys by XXH3, and of equal points the one added first. Keys are
    str, as there.

    Args:
        nodes: names, or names with their weights.
        virtual_nodes: points of a node of weight 1.

    Raises:
        InvalidType: a name that is no str, a weight or `virtual_nodes` that is no int.
        InvalidValue: a weight or `virtual_nodes` less than 1, no node, or one named twice.
    """
    virtual_nodes = integer("virtual_nodes", virtual_nodes, 1)
    named = members(nodes, whole(1))
    point_count(virtual_nodes * sum(named.values()))
    points = in_order(
        (digest("xxh3", utf8(name) + b"#" + number.to_bytes(4, "little")), owner)
        for owner, (name, weight) in enumerate(named.items())
        for number in range(virtual_nodes * weight)
    )
    rule = Rule("fastring", _key_hash, bits=64, digest="xxh3")
    return Ring(named, points, rule, partial(ring, virtual_nodes=virtual_nodes))


def _key_hash(key: object) -> int:
    if not isinstance(key, str):
        raise InvalidType(f"key must be a str, not {type(key).__name__}: {key!r}")
    return digest("xxh3", key)
