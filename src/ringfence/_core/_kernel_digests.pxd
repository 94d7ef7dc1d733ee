# cython: language_level=3
"""All hashes of bytes by number, compiled; `_kernel_digests.py` holds the same names, documented."""
from libc.stdint cimport uint8_t, uint64_t

from ringfence._core._kernel_bytewise cimport (
    crc16, crc16_xmodem, crc32, crc32_avalanche, crc32a, crc32c, djb2, djb2_avalanche, fnv1_32, fnv1_64, fnv1a_32,
    fnv1a_64, fnv1a_unsigned, hsieh, jenkins, one_at_a_time, sdbm, sdbm_avalanche, wt6, wt6_avalanche,
)
from ringfence._core._kernel_md5 cimport md5_high, md5_low, md5_word
from ringfence._core._kernel_murmur cimport (
    murmur2, murmur2_64a, murmur2_twemproxy, murmur3, murmur3_java, murmur3_token,
)
from ringfence._core._kernel_sha1 cimport sha1_high
from ringfence._core._kernel_xxhash cimport xxh3, xxhash64

ctypedef uint64_t (*Hash)(const uint8_t*, size_t, uint64_t) noexcept nogil


cdef inline Hash hash_of(int kind) noexcept nogil:
    if kind == 1:
        return murmur3
    elif kind == 2:
        return xxhash64
    elif kind == 3:
        return xxh3
    elif kind == 4:
        return md5_high
    elif kind == 5:
        return md5_low
    elif kind == 6:
        return md5_word
    elif kind == 7:
        return murmur3_java
    elif kind == 8:
        return murmur2
    elif kind == 9:
        return murmur2_64a
    elif kind == 10:
        return murmur2_twemproxy
    elif kind == 11:
        return one_at_a_time
    elif kind == 12:
        return fnv1_64
    elif kind == 13:
        return fnv1a_64
    elif kind == 14:
        return fnv1_32
    elif kind == 15:
        return fnv1a_32
    elif kind == 16:
        return fnv1a_unsigned
    elif kind == 17:
        return crc16
    elif kind == 18:
        return crc16_xmodem
    elif kind == 19:
        return crc32
    elif kind == 20:
        return crc32a
    elif kind == 21:
        return hsieh
    elif kind == 22:
        return jenkins
    elif kind == 23:
        return sdbm
    elif kind == 24:
        return sdbm_avalanche
    elif kind == 25:
        return djb2
    elif kind == 26:
        return djb2_avalanche
    elif kind == 27:
        return wt6
    elif kind == 28:
        return wt6_avalanche
    elif kind == 29:
        return crc32_avalanche
    elif kind == 30:
        return sha1_high
    elif kind == 31:
        return murmur3_token
    elif kind == 32:
        return crc32c
    return NULL
