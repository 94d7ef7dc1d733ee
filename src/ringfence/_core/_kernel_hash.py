"""Hashes of keys, interpreted; `_kernel_hash.pxd` holds the same names, compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ringfence._core._checks import hash_result, refuse_shrunk, refuse_surrogates, uint64
from ringfence._core._kernel_digests import Hash, hash_of
from ringfence._core._kernel_murmur import mix64, murmur3
from ringfence._core._kernel_xxhash import xxhash64

Kind: TypeAlias = int | Callable[[bytes], int]
"""How to hash keys: 0 as `hash_key`, another number as `hash_of` has it, or by a function of their bytes."""

Words = NDArray[np.uint64]
Indices = NDArray[np.uint32]


def hash_key(key: Any) -> int:
    """Hash a key of a ring: an int through `mix64`, str (as UTF-8) and bytes through MurmurHash3 with seed 0."""
    if isinstance(key, str):
        key = _utf8(key)
    elif not isinstance(key, bytes):
        return mix64(uint64(key, "key"))
    return murmur3(key, 0)


def hash_bytes_of(function: Hash, key: Any, seed: int) -> int:
    """Return a hash of a key; an int stands for its 8 bytes, little-endian."""
    return function(_bytes_of(key), seed)


def murmur3_key(key: Any, seed: int) -> int:
    """MurmurHash3 x64 128, low word, of a key."""
    return murmur3(_bytes_of(key), seed)


def xxh64_key(key: Any, seed: int) -> int:
    """XXH64 of a key."""
    return xxhash64(_bytes_of(key), seed)


def _bytes_of(key: Any) -> bytes:
    if isinstance(key, str):
        return _utf8(key)
    return key if isinstance(key, bytes) else uint64(key, "key").to_bytes(8, "little")


def _utf8(key: str) -> bytes:
    try:
        return key.encode()
    except UnicodeEncodeError:
        refuse_surrogates(key)


def uint64_key(key: Any) -> int:
    """Return an int key, checked."""
    return uint64(key, "key")


def hash_by(kind: Kind, key: Any) -> int:
    """Hash a key as `kind` says, with seed 0."""
    return hash_with(kind, key) if callable(kind) else _hash_as(kind, key, 0)


def hash_with(function: Callable[[bytes], int], key: Any) -> int:
    """Hash a key by a function of its bytes; an int stands for its 8 bytes, little-endian."""
    data = bytes(_bytes_of(key))
    return hash_result(function(data), function, data)


def _hash_as(kind: int, key: Any, seed: int) -> int:
    return hash_bytes_of(hash_of(kind), key, seed) if kind else hash_key(key)


def hash_list(keys: list[Any], kind: Kind, seed: int, out: Words) -> None:
    """Put the hash of each key into `out`, which is as long."""
    some = keys[: len(out)]  # of our own: another thread may change the list meanwhile
    if len(some) < len(out):
        refuse_shrunk(len(out), len(some))
    out[:] = np.fromiter(_hashes(some, kind, seed), np.uint64, len(out))


def _hashes(keys: list[Any], kind: Kind, seed: int) -> Iterable[int]:
    if callable(kind):
        return (hash_with(kind, key) for key in keys)
    return (_hash_as(kind, key, seed) for key in keys) if kind else map(hash_key, keys)


def mix_many(numbers: Words, out: Words) -> None:
    """Put `mix64` of each number into `out`, which is as long."""
    x = numbers ^ numbers >> np.uint64(33)
    x *= np.uint64(0xFF51_AFD7_ED55_8CCD)
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xC4CE_B9FE_1A85_EC53)
    out[:] = x ^ x >> np.uint64(33)
