"""Hash arithmetic and the hashes of keys, interpreted; `_kernel_hash.pxd` holds the same names, compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
from mmh3 import mmh3_x64_128_utupledigest as _murmur3
from numpy.typing import NDArray

from ringfence._core._checks import hash_result, refuse_shrunk, refuse_surrogates, uint64

Kind: TypeAlias = int | Callable[[bytes], int]
"""How to hash keys: 0 as `hash_key`, 1 by MurmurHash3, 2 by XXH64, or by a function of their bytes."""

Words = NDArray[np.uint64]
Indices = NDArray[np.uint32]

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_X1, _X2, _X3 = 0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9
_X4, _X5 = 0x85EB_CA77_C2B2_AE63, 0x27D4_EB2F_1656_67C5


def mix64(x: int) -> int:
    """Scramble 64 bits one to one: the finaliser `fmix64` of MurmurHash3 (Appleby, public domain)."""
    x = (x ^ x >> 33) * 0xFF51_AFD7_ED55_8CCD & _MASK
    x = (x ^ x >> 33) * 0xC4CE_B9FE_1A85_EC53 & _MASK
    return x ^ x >> 33


def hash_key(key: Any) -> int:
    """Hash a key of a ring: an int through `mix64`, str (as UTF-8) and bytes through MurmurHash3 with seed 0."""
    if isinstance(key, str):
        key = _utf8(key)
    elif not isinstance(key, bytes):
        return mix64(uint64(key, "key"))
    word: int = _murmur3(key)[0]
    return word


def murmur3_key(key: Any, seed: int) -> int:
    """MurmurHash3 x64 128, low word, of a key; an int stands for its 8 bytes, little-endian."""
    word: int = _murmur3(_bytes_of(key), seed)[0]
    return word


def xxh64_key(key: Any, seed: int) -> int:
    """XXH64 of a key (Collet, xxHash specification 0.1.1); an int stands for its 8 bytes, little-endian."""
    data = _bytes_of(key)
    striped = len(data) & ~31 if len(data) >= 32 else 0
    h = _xx_stripes(data, striped, seed) if striped else seed + _X5
    h = h + len(data) & _MASK
    words = striped + (len(data) - striped & ~7)
    for at in range(striped, words, 8):
        h = _rotl(h ^ _xx_round(0, _little(data, at, 8)), 27) * _X1 + _X4 & _MASK
    at = words
    if len(data) - at >= 4:
        h = _rotl(h ^ _little(data, at, 4) * _X1 & _MASK, 23) * _X2 + _X3 & _MASK
        at += 4
    for byte in data[at:]:
        h = _rotl(h ^ byte * _X5 & _MASK, 11) * _X1 & _MASK
    h = (h ^ h >> 33) * _X2 & _MASK
    h = (h ^ h >> 29) * _X3 & _MASK
    return h ^ h >> 32


def _xx_stripes(data: bytes, length: int, seed: int) -> int:
    lanes = [seed + _X1 + _X2 & _MASK, seed + _X2 & _MASK, seed, seed - _X1 & _MASK]
    for at in range(0, length, 32):
        lanes = [_xx_round(lane, _little(data, at + 8 * i, 8)) for i, lane in enumerate(lanes)]
    h = sum(_rotl(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
    for lane in lanes:
        h = (h ^ _xx_round(0, lane)) * _X1 + _X4 & _MASK
    return h


def _xx_round(lane: int, word: int) -> int:
    return _rotl(lane + word * _X2 & _MASK, 31) * _X1 & _MASK


def _rotl(x: int, by: int) -> int:
    return (x << by | x >> 64 - by) & _MASK


def _little(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "little")


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
    return (xxh64_key if kind == 2 else murmur3_key)(key, seed) if kind else hash_key(key)


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
