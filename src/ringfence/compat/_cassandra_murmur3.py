"""MurmurHash3 as Cassandra's Java has it: the last bytes, those after the blocks of 16, keep their sign."""

from __future__ import annotations

from ringfence._core.hashing import mix64

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_M1, _M2 = 0x87C3_7B91_1142_53D5, 0x4CF5_AD43_2745_937F


def murmur3_of_java(key: bytes) -> int:
    """Return the low word of the MurmurHash3 x64 128 of `key`, as `MurmurHash.hash3_x64_128` in Cassandra 02404115."""
    h1 = h2 = 0
    end = len(key) & ~15
    for at in range(0, end, 16):
        k1, k2 = (int.from_bytes(key[i : i + 8], "little") for i in (at, at + 8))
        h1 = (_rotated(h1 ^ _first(k1), 27) + h2) * 5 + 0x52DC_E729 & _MASK
        h2 = (_rotated(h2 ^ _second(k2), 31) + h1) * 5 + 0x3849_5AB5 & _MASK
    tail = key[end:]
    h2 ^= _second(_signed(tail[8:]))
    h1 ^= _first(_signed(tail[:8]))
    h1, h2 = h1 ^ len(key), h2 ^ len(key)
    h1 = h1 + h2 & _MASK
    h2 = h2 + h1 & _MASK
    return mix64(h1) + mix64(h2) & _MASK


def _signed(tail: bytes) -> int:
    word = 0
    for at, byte in enumerate(tail):
        word ^= (byte - 256 if byte > 127 else byte) << 8 * at
    return word & _MASK


def _first(k: int) -> int:
    return _rotated(k * _M1 & _MASK, 31) * _M2 & _MASK


def _second(k: int) -> int:
    return _rotated(k * _M2 & _MASK, 33) * _M1 & _MASK


def _rotated(x: int, by: int) -> int:
    return (x << by | x >> 64 - by) & _MASK
