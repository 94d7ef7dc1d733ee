# cython: language_level=3
"""The xxHash family, compiled; `_kernel_xxhash.py` holds the same names, documented."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ringfence._core._kernel_memory cimport load32, load64, rotl, swapped


cdef extern from *:
    """
    #include <stdint.h>
    static const uint64_t ringfence_x1 = 0x9e3779b185ebca87ULL, ringfence_x2 = 0xc2b2ae3d27d4eb4fULL;
    static const uint64_t ringfence_x3 = 0x165667b19e3779f9ULL, ringfence_x4 = 0x85ebca77c2b2ae63ULL;
    static const uint64_t ringfence_x5 = 0x27d4eb2f165667c5ULL;
    static const uint64_t ringfence_xa = 0x165667919e3779f9ULL, ringfence_xr = 0x9fb21c651e98df25ULL;
    static const uint8_t ringfence_secret[192] = {
        0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
        0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
        0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
        0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
        0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
        0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
        0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
        0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
        0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
        0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
        0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
        0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
    };
    /* Both halves of the product, one XORed into the other. */
    static inline uint64_t ringfence_folded(uint64_t a, uint64_t b) {
    #ifdef __SIZEOF_INT128__
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    #else
        uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
        uint64_t middle = (a0 * b0 >> 32) + (uint32_t)(a0 * b1) + a1 * b0;
        return (middle << 32 | (uint32_t)(a0 * b0)) ^ (a1 * b1 + (a0 * b1 >> 32) + (middle >> 32));
    #endif
    }
    """
    const uint64_t X1 "ringfence_x1", X2 "ringfence_x2", X3 "ringfence_x3", X4 "ringfence_x4", X5 "ringfence_x5"
    const uint64_t XA "ringfence_xa", XR "ringfence_xr"
    const uint8_t* SECRET "ringfence_secret"
    uint64_t folded "ringfence_folded"(uint64_t a, uint64_t b) noexcept nogil


# --- XXH64 ----------------------------------------------------------------------------------------------------


cdef inline uint64_t xx_round(uint64_t lane, uint64_t word) noexcept nogil:
    return rotl(lane + word * X2, 31) * X1


cdef inline uint64_t xx_merge(uint64_t h, uint64_t lane) noexcept nogil:
    return (h ^ xx_round(0, lane)) * X1 + X4


cdef inline uint64_t xxhash64(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint64_t h = seed + X5
    cdef uint64_t a = seed + X1 + X2, b = seed + X2, c = seed, d = seed - X1
    cdef size_t rest = length
    if length >= 32:
        while rest >= 32:
            a = xx_round(a, load64(data))
            b = xx_round(b, load64(data + 8))
            c = xx_round(c, load64(data + 16))
            d = xx_round(d, load64(data + 24))
            data += 32
            rest -= 32
        h = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18)
        h = xx_merge(xx_merge(xx_merge(xx_merge(h, a), b), c), d)
    h += length
    while rest >= 8:
        h = rotl(h ^ xx_round(0, load64(data)), 27) * X1 + X4
        data += 8
        rest -= 8
    if rest >= 4:
        h = rotl(h ^ load32(data) * X1, 23) * X2 + X3
        data += 4
        rest -= 4
    while rest:
        h = rotl(h ^ data[0] * X5, 11) * X1
        data += 1
        rest -= 1
    return xx_avalanche(h)


cdef inline uint64_t xx_avalanche(uint64_t h) noexcept nogil:
    h = (h ^ h >> 33) * X2
    h = (h ^ h >> 29) * X3
    return h ^ h >> 32


# --- XXH3 -----------------------------------------------------------------------------------------------------


cdef inline uint64_t xxh3(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    if length <= 16:
        return xxh3_short(data, length)
    if length <= 128:
        return xxh3_pairs(data, length)
    if length <= 240:
        return xxh3_middle(data, length)
    return xxh3_long(data, length)


cdef inline uint64_t secret(size_t at) noexcept nogil:
    return load64(SECRET + at)


cdef inline uint64_t xxh3_short(const uint8_t* data, size_t length) noexcept nogil:
    cdef uint64_t low, high
    if length > 8:
        low = load64(data) ^ secret(24) ^ secret(32)
        high = load64(data + length - 8) ^ secret(40) ^ secret(48)
        return xxh3_avalanche(length + swapped(low) + high + folded(low, high))
    if length > 3:
        low = load32(data + length - 4) + (<uint64_t>load32(data) << 32)
        return rrmxmx(low ^ secret(8) ^ secret(16), length)
    if length:
        low = <uint32_t>data[0] << 16 | <uint32_t>data[length >> 1] << 24 | data[length - 1] | length << 8
        return xx_avalanche(low ^ <uint32_t>(secret(0) ^ secret(0) >> 32))
    return xx_avalanche(secret(56) ^ secret(64))


cdef inline uint64_t xxh3_pairs(const uint8_t* data, size_t length) noexcept nogil:
    cdef uint64_t h = length * X1
    cdef size_t i, pairs = (length - 1) // 32 + 1
    for i in range(pairs):
        h += mix16(data + 16 * i, 32 * i) + mix16(data + length - 16 * (i + 1), 32 * i + 16)
    return xxh3_avalanche(h)


cdef inline uint64_t xxh3_middle(const uint8_t* data, size_t length) noexcept nogil:
    cdef uint64_t h = length * X1
    cdef size_t i
    for i in range(8):
        h += mix16(data + 16 * i, 16 * i)
    h = xxh3_avalanche(h)
    for i in range(8, length // 16):
        h += mix16(data + 16 * i, 16 * (i - 8) + 3)
    return xxh3_avalanche(h + mix16(data + length - 16, 119))


cdef inline uint64_t xxh3_long(const uint8_t* data, size_t length) noexcept nogil:
    cdef uint64_t[8] lanes
    cdef size_t i, left = length - 1
    cdef const uint8_t* at = data
    lanes[0], lanes[1], lanes[2], lanes[3] = 0xC2B2_AE3D, X1, X2, X3
    lanes[4], lanes[5], lanes[6], lanes[7] = X4, 0x85EB_CA77, X5, 0x9E37_79B1
    while left >= 1024:
        for i in range(16):
            accumulate(lanes, at + 64 * i, 8 * i)
        for i in range(8):
            lanes[i] = (lanes[i] ^ lanes[i] >> 47 ^ secret(128 + 8 * i)) * <uint64_t>0x9E37_79B1
        at += 1024
        left -= 1024
    for i in range(left // 64):
        accumulate(lanes, at + 64 * i, 8 * i)
    accumulate(lanes, data + length - 64, 121)
    cdef uint64_t h = length * X1
    for i in range(0, 8, 2):
        h += folded(lanes[i] ^ secret(11 + 8 * i), lanes[i + 1] ^ secret(19 + 8 * i))
    return xxh3_avalanche(h)


cdef inline void accumulate(uint64_t* lanes, const uint8_t* data, size_t at) noexcept nogil:
    cdef uint64_t word, mixed
    cdef size_t i
    for i in range(8):
        word = load64(data + 8 * i)
        mixed = word ^ secret(at + 8 * i)
        lanes[i ^ 1] += word
        lanes[i] += <uint64_t><uint32_t>mixed * (mixed >> 32)


cdef inline uint64_t mix16(const uint8_t* data, size_t at) noexcept nogil:
    return folded(load64(data) ^ secret(at), load64(data + 8) ^ secret(at + 8))


cdef inline uint64_t xxh3_avalanche(uint64_t h) noexcept nogil:
    h = (h ^ h >> 37) * XA
    return h ^ h >> 32


cdef inline uint64_t rrmxmx(uint64_t h, uint64_t length) noexcept nogil:
    h ^= rotl(h, 49) ^ rotl(h, 24)
    h *= XR
    h = (h ^ (h >> 35) + length) * XR
    return h ^ h >> 28
