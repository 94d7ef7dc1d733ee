"""32-bit hashes of keys that memcached clients and proxies use, byte for byte as their C does.

After twemproxy 60aaf855, `src/hashkit`, and libmemcached 1.1.4, `src/libhashkit`. There `char` is signed (x86-64), so
most of them extend the sign of bytes from 0x80 on.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from ringfence.compat._md5 import word

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


def fnv1_64(key: bytes) -> int:
    """FNV-1, in the 64-bit form of which 32 bits are kept (`nc_fnv.c`)."""
    return _fnv1(key, _FNV_64, _FNV_64_PRIME)


def fnv1a_64(key: bytes) -> int:
    """FNV-1a, in the 64-bit form of which 32 bits are kept (`nc_fnv.c`): twemproxy's default."""
    return _fnv1a(key, _FNV_64, _FNV_64_PRIME)


def fnv1_32(key: bytes) -> int:
    """FNV-1 with 32 bits (`nc_fnv.c`)."""
    return _fnv1(key, _FNV_32, _FNV_32_PRIME)


def fnv1a_32(key: bytes) -> int:
    """FNV-1a with 32 bits (`nc_fnv.c`)."""
    return _fnv1a(key, _FNV_32, _FNV_32_PRIME)


def one_at_a_time(key: bytes) -> int:
    """Jenkins' one-at-a-time (`nc_one_at_a_time.c`): libmemcached's default."""
    value = 0
    for char in _signed(key):
        value = (value + char) * 1025 & _MASK
        value ^= value >> 6
    value = value * 9 & _MASK
    value ^= value >> 11
    return value * 32769 & _MASK


def crc16(key: bytes) -> int:
    """CRC-16 of CCITT (`nc_crc16.c`), which keeps what it shifts out of its 16 bits."""
    crc = 0
    for byte in key:
        crc = (crc << 8 ^ _CRC16[(crc >> 8 ^ byte) & 0xFF]) & _MASK
    return crc


def _crc16_of(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1
    return crc & 0xFFFF


_CRC16 = [_crc16_of(byte) for byte in range(256)]


def crc32(key: bytes) -> int:
    """The upper 15 bits of CRC-32 (`nc_crc32.c`), as libmemcached has it: all keys fall on the lowest arcs."""
    return zlib.crc32(key) >> 16 & 0x7FFF


def crc32a(key: bytes) -> int:
    """CRC-32 as it is (`nc_crc32.c`)."""
    return zlib.crc32(key)


def hsieh(key: bytes) -> int:
    """Hsieh's SuperFastHash (`nc_hsieh.c`), whose seed is 0."""
    if not key:
        return 0
    h, end = 0, len(key) & ~3
    for at in range(0, end, 4):
        h = h + _pair(key, at) & _MASK
        h = (h << 16 ^ _pair(key, at + 2) << 11 ^ h) & _MASK
        h = h + (h >> 11) & _MASK
    return _avalanche(_hsieh_tail(key[end:], h))


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


def murmur(key: bytes) -> int:
    """MurmurHash2 (`nc_murmur.c`), seeded by the length of the key."""
    return murmur2(key, 0xDEAD_BEEF * len(key) & _MASK)


def murmur2(key: bytes, seed: int) -> int:
    """MurmurHash2 with 32 bits (Appleby, public domain)."""
    m, h, end = 0x5BD1_E995, seed ^ len(key) & _MASK, len(key) & ~3
    for at in range(0, end, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & _MASK
        h = h * m & _MASK ^ (k ^ k >> 24) * m & _MASK
    if end < len(key):
        h = (h ^ int.from_bytes(key[end:], "little")) * m & _MASK
    h = (h ^ h >> 13) * m & _MASK
    return h ^ h >> 15


def jenkins(key: bytes) -> int:
    """Jenkins' lookup3 `hashlittle` with the seed 13 (`nc_jenkins.c`)."""
    a = b = c = 0xDEAD_BEEF + len(key) + 13 & _MASK
    while len(key) > 12:
        a, b, c = _mix(*_plus(key, a, b, c))
        key = key[12:]
    return _final(*_plus(key, a, b, c)) if key else c


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


BY_NAME = {
    "one_at_a_time": one_at_a_time,
    "md5": word,
    "crc16": crc16,
    "crc32": crc32,
    "crc32a": crc32a,
    "fnv1_64": fnv1_64,
    "fnv1a_64": fnv1a_64,
    "fnv1_32": fnv1_32,
    "fnv1a_32": fnv1a_32,
    "hsieh": hsieh,
    "murmur": murmur,
    "jenkins": jenkins,
}
"""Of twemproxy's pool option `hash`."""
