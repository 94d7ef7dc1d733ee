"""The ring of the Python library hashring."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ringfence.compat import _md5
from ringfence.compat._arguments import members, number
from ringfence.compat._ring import Ring, Rule, last_wins
from ringfence.errors import InvalidType, InvalidValue


def ring(nodes: Mapping[str, float] | Iterable[str]) -> Ring:
    """Return the ring of `hashring.HashRing(nodes, weights)`.

    Follows hashring 1.5.1, `hashring/hashring.py`: 40 hashes a node on average, by weight, and of each MD5 only three
    of its four words, so its rings are not ketama's. Keys are str, as there.

    Args:
        nodes: names, or names with their weights, which may be floats.

    Raises:
        InvalidType: a name that is no str, a weight that is no number.
        InvalidValue: a weight that is not finite and above 0, no node, or one named twice.
    """
    named = members(nodes, number)
    total, count = sum(named.values()), len(named)
    points = last_wins(
        (point, owner)
        for owner, (name, weight) in enumerate(named.items())
        for k in range(math.floor(40 * count * weight / total))
        for point in _md5.words(f"{name}-{k}".encode())[:3]
    )
    if not points:
        raise InvalidValue(f"weights so small give no node a point: {dict(named)!r}")
    return Ring(named, points, Rule("hashring", _word, after=True, digest="md5_word"), ring)


def _word(key: object) -> int:
    if not isinstance(key, str):
        raise InvalidType(f"key must be a str, not {type(key).__name__}: {key!r}")
    return _md5.word(key)
