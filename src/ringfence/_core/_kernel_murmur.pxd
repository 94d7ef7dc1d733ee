# cython: language_level=3
"""The MurmurHash family, compiled; `_kernel_murmur.py` holds the same names, documented."""
from libc.stdint cimport int8_t, int64_t, uint8_t, uint32_t, uint64_t

from ringfence._core._kernel_memory cimport load32, load64, load_tail, rotl


cdef extern from *:
    """
    static const uint64_t ringfence_m1 = 0x87c37b91114253d5ULL, ringfence_m2 = 0x4cf5ad432745937fULL;
    static const uint64_t ringfence_f1 = 0xff51afd7ed558ccdULL, ringfence_f2 = 0xc4ceb9fe1a85ec53ULL;
    static const uint64_t ringfence_m64a = 0xc6a4a7935bd1e995ULL;
    """
    const uint64_t M1 "ringfence_m1", M2 "ringfence_m2", F1 "ringfence_f1", F2 "ringfence_f2"
    const uint64_t M64A "ringfence_m64a"


cdef extern from *:
    bint likely(bint condition) noexcept nogil


cdef inline uint64_t mix64(uint64_t x) noexcept nogil:
    x = (x ^ x >> 33) * F1
    x = (x ^ x >> 33) * F2
    return x ^ x >> 33


cdef inline uint64_t murmur3(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint64_t h1 = seed, h2 = seed
    cdef const uint8_t* end = data + (length & ~<size_t>15)
    cdef size_t rest = length & 15
    while data != end:
        h1 ^= rotl(load64(data) * M1, 31) * M2
        h1 = (rotl(h1, 27) + h2) * 5 + 0x52dce729
        h2 ^= rotl(load64(data + 8) * M2, 33) * M1
        h2 = (rotl(h2, 31) + h1) * 5 + 0x38495ab5
        data += 16
    if likely(rest > 8):
        h2 ^= rotl((load64(data + rest - 8) >> 8 * (16 - rest)) * M2, 33) * M1
        h1 ^= rotl(load64(data) * M1, 31) * M2
    elif rest:
        h1 ^= rotl(load_tail(data, rest) * M1, 31) * M2
    h1 ^= length
    h2 ^= length
    h1 += h2
    h2 += h1
    return mix64(h1) + mix64(h2)


cdef inline uint64_t murmur3_java(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint64_t h1 = seed, h2 = seed
    cdef const uint8_t* end = data + (length & ~<size_t>15)
    cdef size_t rest = length & 15
    while data != end:
        h1 ^= rotl(load64(data) * M1, 31) * M2
        h1 = (rotl(h1, 27) + h2) * 5 + 0x52dce729
        h2 ^= rotl(load64(data + 8) * M2, 33) * M1
        h2 = (rotl(h2, 31) + h1) * 5 + 0x38495ab5
        data += 16
    if rest > 8:
        h2 ^= rotl(signed_tail(data + 8, rest - 8) * M2, 33) * M1
        h1 ^= rotl(signed_tail(data, 8) * M1, 31) * M2
    elif rest:
        h1 ^= rotl(signed_tail(data, rest) * M1, 31) * M2
    h1 ^= length
    h2 ^= length
    h1 += h2
    h2 += h1
    return mix64(h1) + mix64(h2)


cdef inline uint64_t murmur3_token(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint64_t place = murmur3_java(data, length, seed) ^ <uint64_t>0x8000_0000_0000_0000
    return place - (place == 0)


cdef inline uint64_t signed_tail(const uint8_t* data, size_t length) noexcept nogil:
    cdef uint64_t word = load_tail(data, length)
    cdef size_t i
    if likely(not word & <uint64_t>0x8080_8080_8080_8080):
        return word
    word = 0
    for i in range(length):
        word ^= <uint64_t><int64_t><int8_t>data[i] << 8 * i
    return word


cdef inline uint64_t murmur2(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint32_t k, m = 0x5BD1_E995, h = <uint32_t>(seed ^ length)
    while length >= 4:
        k = load32(data) * m
        h = h * m ^ (k ^ k >> 24) * m
        data += 4
        length -= 4
    if length:
        h = (h ^ <uint32_t>load_tail(data, length)) * m
    h = (h ^ h >> 13) * m
    return h ^ h >> 15


cdef inline uint64_t murmur2_twemproxy(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return murmur2(data, length, <uint32_t>0xDEAD_BEEF * <uint32_t>length)


cdef inline uint64_t murmur2_64a(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint64_t k, h = seed ^ length * M64A
    while length >= 8:
        k = load64(data) * M64A
        h = (h ^ (k ^ k >> 47) * M64A) * M64A
        data += 8
        length -= 8
    if length:
        h = (h ^ load_tail(data, length)) * M64A
    h = (h ^ h >> 47) * M64A
    return h ^ h >> 47
