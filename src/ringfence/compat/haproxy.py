"""HAProxy's consistent hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

from ringfence._core._kernel_bytewise import full_hash
from ringfence._core.digests import digest
from ringfence.compat._arguments import integer, key_bytes, members, one_of, whole
from ringfence.compat._ring import Ring, Rule, in_order
from ringfence.errors import InvalidType, InvalidValue, UnknownNode

_MASK = 0xFFFF_FFFF
_POINTS = 16
_RANGE = 4096
_HASHES = {
    "sdbm": ("sdbm", "sdbm_avalanche"),
    "djb2": ("djb2", "djb2_avalanche"),
    "wt6": ("wt6", "wt6_avalanche"),
    "crc32": ("crc32a", "crc32_avalanche"),
}
"""By HAProxy's names for them: as they are, and with `avalanche`."""


def ring(
    servers: Mapping[str, int] | Iterable[str],
    *,
    ids: Mapping[str, int] | None = None,
    hash: str | None = None,  # noqa: A002 as HAProxy calls it
    avalanche: bool = False,
) -> Ring:
    """Return the ring of a backend with `hash-type consistent`, as `balance hdr(...)`, `uri` and others look keys up.

    Follows HAProxy 2.6, `src/lb_chash.c` and `src/hash.c`. A server has 16 points for each unit of weight, which depend
    on its id alone, and a key belongs to the nearest point, before it or after it, of two as near to the one before.
    So two servers of the same id take each other's place whatever their names are.

    `without_node` keeps the ids of the others, as a server that goes down does; taken out of the configuration, it
    would make the ids of those after it one less, unless they are set there.

    Args:
        servers: names with their weights, or names for a weight of 1, in the order of the configuration.
        ids: of servers whose line sets `id`; the others get their places, from 1 on, or the next that is free.
        hash: `sdbm`, `djb2`, `wt6` or `crc32`, the second argument of `hash-type`. None for no argument, which is
            `sdbm avalanche`.
        avalanche: whether `avalanche` follows it there.

    Raises:
        InvalidType: a server that is no str, a weight or id that is no int.
        InvalidValue: no server, one named twice, a weight not in 1 to 256, an id that two servers have or that is less
            than 1, or an unknown hash.
        UnknownNode: an id for a server that there is not.
    """
    named = members(servers, whole(1, 256), "server")
    hash_name, mixed = ("sdbm", True) if hash is None else (hash, avalanche)
    one_of("hash", hash_name, _HASHES)
    numbers = _ids(named, ids or {})
    points = in_order(
        (full_hash(numbers[name] * _RANGE + i), owner)
        for owner, (name, weight) in enumerate(named.items())
        for i in range(weight * _POINTS)
    )
    rule = Rule(
        f"haproxy {hash_name}{' avalanche' if mixed else ''}",
        partial(_key_hash, digest_name=_HASHES[hash_name][mixed]),
        digest=_HASHES[hash_name][mixed],
        takes_bytes=True,
    )
    make = partial(_changed, ids=numbers, hash=hash_name, avalanche=mixed)
    return Ring(named, _ends(points), rule, make)


def _changed(servers: Mapping[str, int], ids: Mapping[str, int], hash: str, avalanche: bool) -> Ring:  # noqa: A002
    kept = {name: number for name, number in ids.items() if name in servers}
    return ring(servers, ids=kept, hash=hash, avalanche=avalanche)


def _ids(named: Mapping[str, int], given: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(given, Mapping):
        raise InvalidType(f"ids must be a mapping of servers to ids, not {given!r}")
    taken: dict[int, str] = {}
    for name, number in given.items():
        if name not in named:
            raise UnknownNode(name, tuple(named))
        number = integer(f"the id of {name!r}", number, 1, (1 << 31) - 1)
        if number in taken:
            raise InvalidValue(f"{taken[number]!r} and {name!r} have the same id {number}")
        taken[number] = name
    return {name: number for number, name in taken.items()} | dict(_numbered(named, given, taken))


def _numbered(
    named: Iterable[str], given: Mapping[str, int], taken: Mapping[int, str]
) -> Iterator[tuple[str, int]]:
    number = 1
    for name in named:
        if name not in given:
            while number in taken:
                number += 1
            yield name, number
        number += 1  # a server with an id of its own uses up a number all the same


def _ends(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return where the keys nearest to each point end: half way to the next point, rounded down.

    With them a ring finds the nearest point as others find the next.
    """
    first, owner = points[0]
    following = [*points, (first + (1 << 32), owner)]
    return in_order(
        ((point + after) // 2 & _MASK, owner) for (point, owner), (after, _) in pairwise(following)
    )


def _key_hash(key: Any, digest_name: str) -> int:
    return digest(digest_name, key_bytes(key))
