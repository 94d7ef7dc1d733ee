"""Where MD5 puts a text on a circle: as one little-endian word of 32 bits, or as one number of 128 bits."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5
from struct import Struct
from typing import Any

from ringfence._core import digests as _digests
from ringfence.compat._arguments import key_bytes

_WORDS = Struct("<4I")


def digest(data: bytes) -> bytes:
    """Return the MD5 of `data` (RFC 1321); nothing secret depends on it, so it is allowed everywhere."""
    return md5(data, usedforsecurity=False).digest()


def word(key: Any) -> int:
    """Return the first 32 bits of the MD5 of a key, little-endian: the key hash of ketama."""
    return _digests.digest("md5_word", key_bytes(key))


def words(data: bytes) -> tuple[int, int, int, int]:
    """Return the MD5 of `data` as four little-endian words of 32 bits: the points of ketama."""
    four: tuple[int, int, int, int] = _WORDS.unpack(digest(data))
    return four


def number(key: Any) -> int:
    """Return the MD5 of a key as one big-endian number of 128 bits, as its hexadecimal form is read."""
    return int.from_bytes(digest(key_bytes(key)), "big")


def ketama_points(name: str, hashes: int, owner: int) -> Iterator[tuple[int, int]]:
    """Yield the points of a node in ketama: four words of the MD5 of `name-k` for each k below `hashes`."""
    for k in range(hashes):
        for point in words(f"{name}-{k}".encode()):
            yield point, owner
