"""The xxHash family (Collet), interpreted; `_kernel_xxhash.pxd` holds the same names, compiled."""

from __future__ import annotations

from struct import Struct, unpack_from

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_LOW = 0xFFFF_FFFF
_P32_1, _P32_2, _P32_3 = 0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D
_P64_1, _P64_2, _P64_3 = 0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9
_P64_4, _P64_5 = 0x85EB_CA77_C2B2_AE63, 0x27D4_EB2F_1656_67C5
_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_WORD = Struct("<Q")
_STRIPE, _BLOCK = 64, 1024


def xxhash64(data: bytes, seed: int) -> int:
    """XXH64 (xxHash specification 0.1.1)."""
    striped = len(data) & ~31 if len(data) >= 32 else 0
    h = _stripes(data, striped, seed) if striped else seed + _P64_5
    h = h + len(data) & _MASK
    words = striped + (len(data) - striped & ~7)
    for at in range(striped, words, 8):
        h = _rotated(h ^ _round(0, _word(data, at)), 27) * _P64_1 + _P64_4 & _MASK
    at = words
    if len(data) - at >= 4:
        h = (
            _rotated(h ^ int.from_bytes(data[at : at + 4], "little") * _P64_1 & _MASK, 23) * _P64_2 + _P64_3
            & _MASK
        )
        at += 4
    for byte in data[at:]:
        h = _rotated(h ^ byte * _P64_5 & _MASK, 11) * _P64_1 & _MASK
    return _avalanche_of_xxh64(h)


def _stripes(data: bytes, length: int, seed: int) -> int:
    lanes = [seed + _P64_1 + _P64_2 & _MASK, seed + _P64_2 & _MASK, seed, seed - _P64_1 & _MASK]
    for at in range(0, length, 32):
        lanes = [_round(lane, _word(data, at + 8 * i)) for i, lane in enumerate(lanes)]
    h = sum(_rotated(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
    for lane in lanes:
        h = (h ^ _round(0, lane)) * _P64_1 + _P64_4 & _MASK
    return h


def _round(lane: int, word: int) -> int:
    return _rotated(lane + word * _P64_2 & _MASK, 31) * _P64_1 & _MASK


def xxh3(data: bytes, seed: int) -> int:  # noqa: ARG001 as all hashes have it
    """XXH3 with 64 bits and the seed 0 (`xxhash.h` 0.8)."""
    if len(data) <= 16:
        return _short(data)
    if len(data) <= 128:
        return _avalanche(len(data) * _P64_1 + _mixed_ends(data))
    if len(data) <= 240:
        return _middle(data)
    return _long(data)


def _short(data: bytes) -> int:
    length = len(data)
    if length > 8:
        low = _word(data, 0) ^ _secret(24) ^ _secret(32)
        high = _word(data, length - 8) ^ _secret(40) ^ _secret(48)
        swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
        return _avalanche(length + swapped + high + _folded(low, high))
    if length > 3:
        first, last = int.from_bytes(data[:4], "little"), int.from_bytes(data[-4:], "little")
        return _rrmxmx((last + (first << 32)) ^ _secret(8) ^ _secret(16), length)
    if length:
        combined = data[0] << 16 | data[length >> 1] << 24 | data[-1] | length << 8
        return _avalanche_of_xxh64(combined ^ (_secret(0) ^ _secret(0) >> 32) & _LOW)
    return _avalanche_of_xxh64(_secret(56) ^ _secret(64))


def _mixed_ends(data: bytes) -> int:
    pairs = (len(data) - 1) // 32 + 1
    return sum(
        _mix16(data, 16 * i, 32 * i) + _mix16(data, len(data) - 16 * (i + 1), 32 * i + 16)
        for i in range(pairs)
    )


def _middle(data: bytes) -> int:
    start = len(data) * _P64_1 + sum(_mix16(data, 16 * i, 16 * i) for i in range(8))
    rest = sum(_mix16(data, 16 * i, 16 * (i - 8) + 3) for i in range(8, len(data) // 16))
    return _avalanche(_avalanche(start) + rest + _mix16(data, len(data) - 16, 119))


def _long(data: bytes) -> int:
    accumulators = [_P32_3, _P64_1, _P64_2, _P64_3, _P64_4, _P32_2, _P64_5, _P32_1]
    last = len(data) - 1
    for start in range(0, last - last % _BLOCK, _BLOCK):
        for stripe in range(16):
            _accumulate(accumulators, data, start + stripe * _STRIPE, 8 * stripe)
        _scramble(accumulators)
    start = last - last % _BLOCK
    for stripe in range((last - start) // _STRIPE):
        _accumulate(accumulators, data, start + stripe * _STRIPE, 8 * stripe)
    _accumulate(accumulators, data, len(data) - _STRIPE, 121)
    return _merged(accumulators, len(data))


def _accumulate(accumulators: list[int], data: bytes, at: int, secret: int) -> None:
    words, keys = unpack_from("<8Q", data, at), unpack_from("<8Q", _SECRET, secret)
    for i, (word, key) in enumerate(zip(words, keys, strict=True)):
        mixed = word ^ key
        accumulators[i ^ 1] = accumulators[i ^ 1] + word & _MASK
        accumulators[i] = accumulators[i] + (mixed & _LOW) * (mixed >> 32) & _MASK


def _scramble(accumulators: list[int]) -> None:
    for i, (value, key) in enumerate(zip(accumulators, unpack_from("<8Q", _SECRET, 128), strict=True)):
        accumulators[i] = (value ^ value >> 47 ^ key) * _P32_1 & _MASK


def _merged(accumulators: list[int], length: int) -> int:
    folds = (
        _folded(accumulators[i] ^ _secret(11 + 8 * i), accumulators[i + 1] ^ _secret(19 + 8 * i))
        for i in range(0, 8, 2)
    )
    return _avalanche(length * _P64_1 + sum(folds))


def _mix16(data: bytes, at: int, secret: int) -> int:
    return _folded(_word(data, at) ^ _secret(secret), _word(data, at + 8) ^ _secret(secret + 8))


def _folded(a: int, b: int) -> int:
    product = a * b
    return product & _MASK ^ product >> 64


def _avalanche(h: int) -> int:
    h &= _MASK
    h = (h ^ h >> 37) * 0x1656_6791_9E37_79F9 & _MASK
    return h ^ h >> 32


def _avalanche_of_xxh64(h: int) -> int:
    h = (h ^ h >> 33) * _P64_2 & _MASK
    h = (h ^ h >> 29) * _P64_3 & _MASK
    return h ^ h >> 32


def _rrmxmx(h: int, length: int) -> int:
    h ^= _rotated(h, 49) ^ _rotated(h, 24)
    h = h * 0x9FB2_1C65_1E98_DF25 & _MASK
    h = (h ^ (h >> 35) + length) * 0x9FB2_1C65_1E98_DF25 & _MASK
    return h ^ h >> 28


def _rotated(x: int, by: int) -> int:
    return (x << by | x >> 64 - by) & _MASK


def _word(data: bytes, at: int) -> int:
    word: int = _WORD.unpack_from(data, at)[0]
    return word


def _secret(at: int) -> int:
    return _word(_SECRET, at)
