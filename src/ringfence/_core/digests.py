# cython: annotation_typing=False
"""Hashes of bytes by name: those that rings place keys with, here and in other systems."""

from __future__ import annotations

from ringfence._core import _checks
from ringfence.errors import InvalidValue

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_digests import hash_of
    from ringfence._core._kernel_hash import hash_bytes_of

_NAMES = (
    "murmur3",
    "xxh64",
    "xxh3",
    "md5",
    "md5_low",
    "md5_word",
    "murmur3_java",
    "murmur2",
    "murmur2_64a",
    "murmur2_twemproxy",
    "one_at_a_time",
    "fnv1_64",
    "fnv1a_64",
    "fnv1_32",
    "fnv1a_32",
    "fnv1a_unsigned",
    "crc16",
    "crc16_xmodem",
    "crc32",
    "crc32a",
    "hsieh",
    "jenkins",
    "sdbm",
    "sdbm_avalanche",
    "djb2",
    "djb2_avalanche",
    "wt6",
    "wt6_avalanche",
    "crc32_avalanche",
    "sha1",
    "murmur3_token",
    "crc32c",
)

KINDS: dict[str, int] = {name: number for number, name in enumerate(_NAMES, 1)}
"""What the look-ups take for a hash, by its name.

64 bits: `murmur3` (the low half of x64 128), `xxh64`, `xxh3` (seed 0 only), `md5` and `sha1` (their first eight bytes,
big-endian), `md5_low` (the last eight), `murmur2_64a`, `murmur3_java` (Cassandra's) and `murmur3_token` (its token,
from the least up); 32 bits: `crc32c`, `md5_word` (the first of ketama), `murmur2` and, each as its system has it, the
others.
"""


def digest(name: str, key: str | bytes | int, seed: int = 0) -> int:
    """Return one of the hashes in `KINDS` of a key; an int stands for its 8 bytes, little-endian.

    Args:
        name: of the hash.
        key: a str is hashed as its UTF-8.
        seed: 0 <= seed < 2**64, for MurmurHash and XXH64; the others have none.

    Raises:
        InvalidType: the key is neither str, bytes nor int.
        InvalidValue: there is no hash of that name, an int is out of range, or a str has lone surrogates.
    """
    if name not in KINDS:
        raise InvalidValue(f"hash must be one of {', '.join(KINDS)}, not {name!r}")
    return hash_bytes_of(hash_of(KINDS[name]), key, _checks.uint64(seed, "seed"))
