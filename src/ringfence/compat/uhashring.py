"""The rings of the Python library uhashring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from ringfence.compat import _md5
from ringfence.compat._arguments import integer, members, one_of, point_count, whole
from ringfence.compat._ring import Ring, Rule, last_wins
from ringfence.errors import InvalidValue

_VNODES = {"default": 160, "ketama": 40}


def ring(
    nodes: Mapping[str, int] | Iterable[str], mode: str = "default", *, vnodes: int | None = None
) -> Ring:
    """Return the ring of `uhashring.HashRing(nodes)`, or of `HashRing(nodes, hash_fn="ketama")`.

    Follows uhashring 2.5, `ring.py`, `ring_meta.py` and `ring_ketama.py`. There a key is hashed as `str(key)`, so
    any key will do, and `b"x"` stands where the text `b'x'` does, elsewhere than `"x"`. Its ketama mode counts points
    with integers and takes the first point after the hash, unlike libketama: about one key in 40 lies elsewhere.

    Args:
        nodes: names, or names with their weights; a weight of 0 is a node without keys.
        mode: `default`, or `ketama`.
        vnodes: of a node of weight 1: 160 by default, 40 in ketama mode, where each makes 4 points.

    Raises:
        InvalidType: a name that is no str, a weight that is no int.
        InvalidValue: an unknown mode, no node with a weight above 0, or one named twice.
    """
    default = one_of("mode", mode, _VNODES)
    vnodes = default if vnodes is None else integer("vnodes", vnodes, 1)
    named = members(nodes, whole(0))
    if not any(named.values()):
        raise InvalidValue("at least one node must have a weight above 0")
    point_count(vnodes * sum(named.values()) if mode == "default" else 4 * vnodes * len(named))
    make = partial(ring, mode=mode, vnodes=vnodes)
    if mode == "ketama":
        return Ring(
            named,
            _ketama_points(named, vnodes),
            Rule("uhashring ketama", _word, after=True, digest="md5_word"),
            make,
        )
    points = last_wins(
        (_md5.number(f"{name}-{k}"), owner)
        for owner, (name, weight) in enumerate(named.items())
        for k in range(vnodes * weight)
    )
    return Ring(named, points, Rule("uhashring default", _number, bits=128, after=True, digest="md5"), make)


def _ketama_points(named: Mapping[str, int], vnodes: int) -> list[tuple[int, int]]:
    total, count = sum(named.values()), len(named)
    return last_wins(
        point
        for owner, (name, weight) in enumerate(named.items())
        for point in _md5.ketama_points(name, vnodes * count * weight // total, owner)
    )


def _word(key: Any) -> int:
    return _md5.word(str(key))


def _number(key: Any) -> int:
    return _md5.number(str(key))
