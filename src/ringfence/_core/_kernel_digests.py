"""All hashes of bytes by number, interpreted; `_kernel_digests.pxd` holds the same names, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ringfence._core._kernel_bytewise import (
    crc16,
    crc16_xmodem,
    crc32,
    crc32_avalanche,
    crc32a,
    crc32c,
    djb2,
    djb2_avalanche,
    fnv1_32,
    fnv1_64,
    fnv1a_32,
    fnv1a_64,
    fnv1a_unsigned,
    hsieh,
    jenkins,
    one_at_a_time,
    sdbm,
    sdbm_avalanche,
    wt6,
    wt6_avalanche,
)
from ringfence._core._kernel_md5 import md5_high, md5_low, md5_word
from ringfence._core._kernel_murmur import (
    murmur2,
    murmur2_64a,
    murmur2_twemproxy,
    murmur3,
    murmur3_java,
    murmur3_token,
)
from ringfence._core._kernel_sha1 import sha1_high
from ringfence._core._kernel_xxhash import xxh3, xxhash64

Hash: TypeAlias = Callable[[bytes, int], int]
"""From bytes and a seed, which not all take, to 64 bits or fewer."""

_HASHES: tuple[Hash, ...] = (
    murmur3,
    xxhash64,
    xxh3,
    md5_high,
    md5_low,
    md5_word,
    murmur3_java,
    murmur2,
    murmur2_64a,
    murmur2_twemproxy,
    one_at_a_time,
    fnv1_64,
    fnv1a_64,
    fnv1_32,
    fnv1a_32,
    fnv1a_unsigned,
    crc16,
    crc16_xmodem,
    crc32,
    crc32a,
    hsieh,
    jenkins,
    sdbm,
    sdbm_avalanche,
    djb2,
    djb2_avalanche,
    wt6,
    wt6_avalanche,
    crc32_avalanche,
    sha1_high,
    murmur3_token,
    crc32c,
)


def hash_of(kind: int) -> Hash:
    """Return a hash by its number, counted from 1; 0 is the ring's own, which takes ints apart."""
    return _HASHES[kind - 1]
