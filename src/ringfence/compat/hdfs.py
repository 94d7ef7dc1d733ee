"""The ring by which HDFS router-based federation spreads a mount point over subclusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ringfence.compat import _md5
from ringfence.compat._arguments import key_bytes, members, point_count, whole
from ringfence.compat._ring import Ring, Rule, last_wins


def ring(locations: Mapping[str, int] | Iterable[str]) -> Ring:
    """Return the `ConsistentHashRing` of these locations, as the mount orders `HASH` and `HASH_ALL` make it.

    Follows Hadoop 4994beff, `hadoop-hdfs-rbf/.../federation/utils/ConsistentHashRing.java`: the hexadecimal MD5 of
    `location/i`, ordered as text, and the first at or after that of the key. A str is hashed as Hadoop's `UTF8` writes
    it: characters beyond U+FFFF as two surrogates of three bytes each.

    Args:
        locations: names of subclusters, for 100 virtual nodes each, or names with their numbers of virtual nodes.

    Raises:
        InvalidType: a name that is no str, a number of virtual nodes that is no int.
        InvalidValue: no location, one named twice, or a number less than 1.
    """
    if not isinstance(locations, Mapping):
        locations = dict.fromkeys(members(locations, whole(1), "location"), 100)
    named = members(locations, whole(1), "location")
    point_count(sum(named.values()))
    points = last_wins(
        (_md5_of(f"{name}/{i}"), owner)
        for owner, (name, count) in enumerate(named.items())
        for i in range(count)
    )
    return Ring(named, points, Rule("hdfs", _md5_of, bits=128, digest="md5", takes_bytes=True), ring)


def _md5_of(key: Any) -> int:
    if isinstance(key, str) and not key.isascii():
        return _md5.number(_hadoop_utf8(key))
    return _md5.number(key)


def _hadoop_utf8(text: str) -> bytes:
    key_bytes(text)  # refuses lone surrogates
    units = text.encode("utf-16-be")
    return b"".join(
        chr(int.from_bytes(units[at : at + 2], "big")).encode("utf-8", "surrogatepass")
        for at in range(0, len(units), 2)
    )
