"""Hashes of 32 bits that go byte by byte, interpreted; `_kernel_bytewise.pxd` holds the same names, compiled.

Those of memcached's clients and proxies follow twemproxy 60aaf855, `src/hashkit`, and libmemcached 1.1.4,
`src/libhashkit`. There `char` is signed (x86-64), so most of them extend the sign of bytes from 0x80 on. Those of
HAProxy follow its 2.6, `src/hash.c`. None takes a seed, which they have as all hashes do.
"""

# ruff: noqa: ARG001

from __future__ import annotations

import zlib
from binascii import crc_hqx
from collections.abc import Iterable

_MASK = 0xFFFF_FFFF
_FNV_64, _FNV_64_PRIME = 0x8422_2325, 0x1B3  # what is left of the 64-bit constants in 32 bits
_FNV_32, _FNV_32_PRIME = 0x811C_9DC5, 0x0100_0193


def _signed(key: bytes) -> Iterable[int]:
    return (byte - 256 if byte > 127 else byte for byte in key)


def _fnv1(key: bytes, state: int, prime: int) -> int:
    for char in _signed(key):
        state = (state * prime ^ char) & _MASK
    return state


def _fnv1a(key: bytes, state: int, prime: int) -> int:
    for char in _signed(key):
        state = (state ^ char) * prime & _MASK
    return state


def fnv1_64(data: bytes, seed: int) -> int:
    """FNV-1, in the 64-bit form of which 32 bits are kept (`nc_fnv.c`)."""
    return _fnv1(data, _FNV_64, _FNV_64_PRIME)


def fnv1a_64(data: bytes, seed: int) -> int:
    """FNV-1a, in the 64-bit form of which 32 bits are kept (`nc_fnv.c`): twemproxy's default."""
    return _fnv1a(data, _FNV_64, _FNV_64_PRIME)


def fnv1_32(data: bytes, seed: int) -> int:
    """FNV-1 with 32 bits (`nc_fnv.c`)."""
    return _fnv1(data, _FNV_32, _FNV_32_PRIME)


def fnv1a_32(data: bytes, seed: int) -> int:
    """FNV-1a with 32 bits (`nc_fnv.c`)."""
    return _fnv1a(data, _FNV_32, _FNV_32_PRIME)


def fnv1a_unsigned(data: bytes, seed: int) -> int:
    """FNV-1a with 32 bits as its authors have it, and librdkafka (`rdfnv1a.c`)."""
    h = _FNV_32
    for byte in data:
        h = (h ^ byte) * _FNV_32_PRIME & _MASK
    return h


def one_at_a_time(data: bytes, seed: int) -> int:
    """Jenkins' one-at-a-time (`nc_one_at_a_time.c`): libmemcached's default."""
    value = 0
    for char in _signed(data):
        value = (value + char) * 1025 & _MASK
        value ^= value >> 6
    value = value * 9 & _MASK
    value ^= value >> 11
    return value * 32769 & _MASK


def crc16(data: bytes, seed: int) -> int:
    """CRC-16 of CCITT (`nc_crc16.c`), which keeps what it shifts out of its 16 bits."""
    crc = 0
    for byte in data:
        crc = (crc << 8 ^ _CRC16[(crc >> 8 ^ byte) & 0xFF]) & _MASK
    return crc


def _crc16_of(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1
    return crc & 0xFFFF


_CRC16 = [_crc16_of(byte) for byte in range(256)]


def crc16_xmodem(data: bytes, seed: int) -> int:
    """CRC-16 of XMODEM, as Redis Cluster has it."""
    return crc_hqx(data, 0)


def crc32(data: bytes, seed: int) -> int:
    """The upper 15 bits of CRC-32 (`nc_crc32.c`), as libmemcached has it: all keys fall on the lowest arcs."""
    return zlib.crc32(data) >> 16 & 0x7FFF


def crc32a(data: bytes, seed: int) -> int:
    """CRC-32 as it is (`nc_crc32.c`)."""
    return zlib.crc32(data)


def crc32c(data: bytes, seed: int) -> int:
    """CRC-32C (Castagnoli), the checksum of iSCSI, ext4 and many logs: RFC 3720, appendix B.4."""
    crc = _MASK
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ _MASK


def _crc32c_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F6_3B78 if byte & 1 else 0)
    return byte


_CRC32C = [_crc32c_of(byte) for byte in range(256)]


def hsieh(data: bytes, seed: int) -> int:
    """Hsieh's SuperFastHash (`nc_hsieh.c`), whose seed is 0."""
    if not data:
        return 0
    h, end = 0, len(data) & ~3
    for at in range(0, end, 4):
        h = h + _pair(data, at) & _MASK
        h = (h << 16 ^ _pair(data, at + 2) << 11 ^ h) & _MASK
        h = h + (h >> 11) & _MASK
    return _avalanche(_hsieh_tail(data[end:], h))


def _pair(key: bytes, at: int) -> int:
    return key[at] | key[at + 1] << 8


def _hsieh_tail(tail: bytes, h: int) -> int:
    if len(tail) == 3:
        h = h + _pair(tail, 0) & _MASK
        h = (h ^ h << 16 ^ tuple(_signed(tail))[2] << 18) & _MASK
        return h + (h >> 11) & _MASK
    if len(tail) == 2:
        h = h + _pair(tail, 0) & _MASK
        h = (h ^ h << 11) & _MASK
        return h + (h >> 17) & _MASK
    if len(tail) == 1:
        h = h + tail[0] & _MASK
        h = (h ^ h << 10) & _MASK
        return h + (h >> 1) & _MASK
    return h


def _avalanche(h: int) -> int:
    for left, right in ((3, 5), (4, 17), (25, 6)):
        h = (h ^ h << left) & _MASK
        h = h + (h >> right) & _MASK
    return h


def jenkins(data: bytes, seed: int) -> int:
    """Jenkins' lookup3 `hashlittle` with the seed 13 (`nc_jenkins.c`)."""
    a = b = c = 0xDEAD_BEEF + len(data) + 13 & _MASK
    while len(data) > 12:
        a, b, c = _mix(*_plus(data, a, b, c))
        data = data[12:]
    return _final(*_plus(data, a, b, c)) if data else c


def _plus(key: bytes, a: int, b: int, c: int) -> tuple[int, int, int]:
    x, y, z = (int.from_bytes(key[at : at + 4], "little") for at in (0, 4, 8))
    return a + x & _MASK, b + y & _MASK, c + z & _MASK


def _rotated(x: int, by: int) -> int:
    return (x << by | x >> 32 - by) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for by in (4, 6, 8, 16, 19, 4):
        a = a - c & _MASK ^ _rotated(c, by)
        c = c + b & _MASK
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for by in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _rotated(b, by) & _MASK
        a, b, c = b, c, a
    return b


def sdbm(data: bytes, seed: int) -> int:
    """The hash of sdbm."""
    h = 0
    for byte in data:
        h = byte + (h << 6) + (h << 16) - h & _MASK
    return h


def djb2(data: bytes, seed: int) -> int:
    """Bernstein's hash."""
    h = 5381
    for byte in data:
        h = h * 33 + byte & _MASK
    return h


def wt6(data: bytes, seed: int) -> int:
    """HAProxy's own `wt6`."""
    h0, h1, step0, step1 = 0xA53C_965A, 0x5CA6_953A, 6, 18
    for byte in data:
        h0 = ~(h0 ^ byte) & _MASK
        h1 = ~(h1 + byte) & _MASK
        h0, h1 = _rotated(h1, step0), _rotated(h0, step1)
        steps = (h0 >> 16 ^ h1) & 0xFFFF
        step0, step1 = steps & 0x1F, steps >> 11
    return h0 ^ h1


def full_hash(a: int) -> int:
    """HAProxy's mixing of numbers: an integer hash of Jenkins, times 3 * 2**30 + 1."""
    a = (a + 0x7ED5_5D16) + (a << 12) & _MASK
    a = a ^ 0xC761_C23C ^ a >> 19
    a = (a + 0x1656_67B1) + (a << 5) & _MASK
    a = a + 0xD3A2_646C & _MASK ^ a << 9 & _MASK
    a = (a + 0xFD70_46C5) + (a << 3) & _MASK
    a = a ^ 0xB55A_4F09 ^ a >> 16
    return a * 3221225473 & _MASK


def sdbm_avalanche(data: bytes, seed: int) -> int:
    """`sdbm`, mixed by `full_hash`."""
    return full_hash(sdbm(data, seed))


def djb2_avalanche(data: bytes, seed: int) -> int:
    """`djb2`, mixed by `full_hash`."""
    return full_hash(djb2(data, seed))


def wt6_avalanche(data: bytes, seed: int) -> int:
    """`wt6`, mixed by `full_hash`."""
    return full_hash(wt6(data, seed))


def crc32_avalanche(data: bytes, seed: int) -> int:
    """`crc32a`, mixed by `full_hash`."""
    return full_hash(crc32a(data, seed))
