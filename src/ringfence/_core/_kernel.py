"""The leaf kernels, interpreted: hash arithmetic, ring search and the building of sorted points.

`_kernel.pxd` holds the same names with the same results for the compiled twin. What is a C pointer there is a list
here, for `bisect` is fastest on lists.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np
from mmh3 import mmh3_x64_128_utupledigest as _murmur3
from numpy.typing import NDArray

from ringfence._core._checks import refuse_surrogates, uint64

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


def words(array: Words) -> list[int]:
    """View an array of points for searching."""
    numbers: list[int] = array.tolist()
    return numbers


def indices(array: Indices) -> list[int]:
    """View an array of owners, or a prefix table, for searching."""
    numbers: list[int] = array.tolist()
    return numbers


def hash_keys(keys: list[Any], out: Words) -> None:
    """Put `hash_key` of each key into `out`, which is as long."""
    out[:] = np.fromiter(map(hash_key, keys), np.uint64, len(out))


def hash_many(keys: list[Any], xx: bool, seed: int, out: Words) -> None:
    """Put the XXH64 or MurmurHash3 of each key into `out`, which is as long."""
    kernel = xxh64_key if xx else murmur3_key
    out[:] = np.fromiter((kernel(key, seed) for key in keys), np.uint64, len(out))


def mix_many(numbers: Words, out: Words) -> None:
    """Put `mix64` of each number into `out`, which is as long."""
    x = numbers ^ numbers >> np.uint64(33)
    x *= np.uint64(0xFF51_AFD7_ED55_8CCD)
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xC4CE_B9FE_1A85_EC53)
    out[:] = x ^ x >> np.uint64(33)


def find(points: list[int], table: list[int], shift: int, h: int) -> int:
    """Return the position of the first point at or after `h`; the number of points when there is none.

    `table[b]` says where the points with the top bits `b` begin. Compiled, four points are looked at from there, and
    what is left of the bucket, if anything, is searched by halves.
    """
    bucket = h >> shift
    return bisect_left(points, h, table[bucket], table[bucket + 1])


def find_many(
    points: Words,
    table: Indices,  # noqa: ARG001 as the compiled twin has it
    shift: int,  # noqa: ARG001
    owners: Indices,
    hashes: Words,
    out: Indices,
) -> None:
    """Put the owner of each hash into `out`, which is as long; compiled, without the GIL."""
    out[:] = owners[np.searchsorted(points, hashes)]


def distinct(
    owners: list[int], count: int, start: int, names: tuple[str, ...], wanted: int
) -> tuple[str, ...]:
    """Return the first `wanted` distinct owners from position `start` on, round the ring."""
    found: dict[int, None] = {}
    while len(found) < wanted:
        found[owners[start]] = None
        start = start + 1 if start + 1 < count else 0
    return tuple(names[owner] for owner in found)


def fill_points(points: Words, start: int, count: int, state: int) -> None:
    """Put the first `count` outputs of SplitMix64 (Steele, Lea, Flood 2014) seeded with `state` at `start`."""
    x = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58_476D_1CE4_E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D0_49BB_1331_11EB)
    points[start : start + count] = x ^ x >> np.uint64(31)


def sort_points(points: Words, owners: Indices, count: int) -> None:
    """Sort the first `count` points with their owners, in place; equal points keep their order."""
    order = np.argsort(points[:count], kind="stable")
    points[:count] = points[:count][order]
    owners[:count] = owners[:count][order]


def fill_table(table: Indices, points: Words, count: int, shift: int) -> None:
    """Put into `table[b]` the position of the first point whose top bits are `b` or more."""
    starts = np.arange(len(table) - 1, dtype=np.uint64) << np.uint64(shift)
    table[:-1] = np.searchsorted(points[:count], starts)
    table[-1] = count


def shift_table(table: Indices, old: Indices, added: Words, shift: int) -> None:
    """Put into `table` what `old` becomes when the sorted points `added` are merged in."""
    table[:] = old + np.searchsorted(added >> np.uint64(shift), np.arange(len(table), dtype=np.uint64))


def merge_points(
    points: Words, owners: Indices, count: int, added: Words, owner: int, to_points: Words, to_owners: Indices
) -> None:
    """Merge the sorted points `added` of a new node `owner` in; the nodes from there on count one higher."""
    total = count + len(added)
    moved = owners[:count] + (owners[:count] >= owner).astype(np.uint32)
    all_points = np.concatenate([points[:count], added])
    all_owners = np.concatenate([moved, np.full(len(added), owner, np.uint32)])
    order = np.lexsort((all_owners, all_points))
    to_points[:total] = all_points[order]
    to_owners[:total] = all_owners[order]


def drop_points(
    points: Words, owners: Indices, count: int, owner: int, to_points: Words, to_owners: Indices
) -> None:
    """Leave out the points of the node `owner`; the nodes after it count one lower."""
    kept = owners[:count] != owner
    left = int(kept.sum())
    rest = owners[:count][kept]
    to_points[:left] = points[:count][kept]
    to_owners[:left] = rest - (rest > owner).astype(np.uint32)
