"""The MurmurHash family (Appleby, public domain), interpreted; `_kernel_murmur.pxd` holds the same names, compiled."""

from __future__ import annotations

from mmh3 import mmh3_x64_128_utupledigest as _murmur3

_MASK, _MASK_32 = 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF
_M1, _M2 = 0x87C3_7B91_1142_53D5, 0x4CF5_AD43_2745_937F


def mix64(x: int) -> int:
    """Scramble 64 bits one to one: the finaliser `fmix64` of MurmurHash3."""
    x = (x ^ x >> 33) * 0xFF51_AFD7_ED55_8CCD & _MASK
    x = (x ^ x >> 33) * 0xC4CE_B9FE_1A85_EC53 & _MASK
    return x ^ x >> 33


def murmur3(data: bytes, seed: int) -> int:
    """MurmurHash3 x64 128, the low 64 bits."""
    word: int = _murmur3(data, seed)[0]
    return word


def murmur3_java(data: bytes, seed: int) -> int:
    """MurmurHash3 as Cassandra's Java has it: the last bytes, those after the blocks of 16, keep their sign."""
    end = len(data) & ~15
    if data[end:].isascii():
        return murmur3(data, seed)
    h1 = h2 = seed
    for at in range(0, end, 16):
        k1, k2 = (int.from_bytes(data[i : i + 8], "little") for i in (at, at + 8))
        h1 = (_rotated(h1 ^ _first(k1), 27) + h2) * 5 + 0x52DC_E729 & _MASK
        h2 = (_rotated(h2 ^ _second(k2), 31) + h1) * 5 + 0x3849_5AB5 & _MASK
    h2 ^= _second(_signed(data[end + 8 :]))
    h1 ^= _first(_signed(data[end : end + 8]))
    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = h1 + h2 & _MASK
    h2 = h2 + h1 & _MASK
    return mix64(h1) + mix64(h2) & _MASK


def murmur3_token(data: bytes, seed: int) -> int:
    """The token of Cassandra, counted from the least up; the least itself is that of no key but the empty one."""
    return murmur3_java(data, seed) ^ 1 << 63 or _MASK


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


def murmur2(data: bytes, seed: int) -> int:
    """MurmurHash2 with 32 bits."""
    m, h, end = 0x5BD1_E995, (seed ^ len(data)) & _MASK_32, len(data) & ~3
    for at in range(0, end, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & _MASK_32
        h = h * m & _MASK_32 ^ (k ^ k >> 24) * m & _MASK_32
    if end < len(data):
        h = (h ^ int.from_bytes(data[end:], "little")) * m & _MASK_32
    h = (h ^ h >> 13) * m & _MASK_32
    return h ^ h >> 15


def murmur2_twemproxy(data: bytes, seed: int) -> int:  # noqa: ARG001 as all hashes have it
    """MurmurHash2 with 32 bits, seeded by the length (twemproxy 60aaf855, `nc_murmur.c`)."""
    return murmur2(data, 0xDEAD_BEEF * len(data) & _MASK_32)


def murmur2_64a(data: bytes, seed: int) -> int:
    """MurmurHash2 64A."""
    m, end = 0xC6A4_A793_5BD1_E995, len(data) & ~7
    h = seed ^ len(data) * m & _MASK
    for at in range(0, end, 8):
        k = int.from_bytes(data[at : at + 8], "little") * m & _MASK
        h = (h ^ (k ^ k >> 47) * m & _MASK) * m & _MASK
    if end < len(data):
        h = (h ^ int.from_bytes(data[end:], "little")) * m & _MASK
    h = (h ^ h >> 47) * m & _MASK
    return h ^ h >> 47
