# cython: language_level=3
"""Hashes of 32 bits that go byte by byte, compiled; `_kernel_bytewise.py` holds the same names, documented."""
from libc.stdint cimport int8_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from ringfence._core._kernel_memory cimport load32, load_tail, rotl32


cdef extern from *:
    """
    #include <stdint.h>
    /* What half a byte does to a CRC: the upper half, then the lower. */
    static const uint16_t ringfence_crc16_high[16] = {
        0x0000, 0x1231, 0x2462, 0x3653, 0x48c4, 0x5af5, 0x6ca6, 0x7e97,
        0x9188, 0x83b9, 0xb5ea, 0xa7db, 0xd94c, 0xcb7d, 0xfd2e, 0xef1f,
    };
    static const uint16_t ringfence_crc16_low[16] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
    };
    static const uint32_t ringfence_crc32_high[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    static const uint32_t ringfence_crc32_low[16] = {
        0x00000000, 0x77073096, 0xee0e612c, 0x990951ba, 0x076dc419, 0x706af48f, 0xe963a535, 0x9e6495a3,
        0x0edb8832, 0x79dcb8a4, 0xe0d5e91e, 0x97d2d988, 0x09b64c2b, 0x7eb17cbd, 0xe7b82d07, 0x90bf1d91,
    };
    static const uint32_t ringfence_crc32c_high[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    static const uint32_t ringfence_crc32c_low[16] = {
        0x00000000, 0xf26b8303, 0xe13b70f7, 0x1350f3f4, 0xc79a971f, 0x35f1141c, 0x26a1e7e8, 0xd4ca64eb,
        0x8ad958cf, 0x78b2dbcc, 0x6be22838, 0x9989ab3b, 0x4d43cfd0, 0xbf284cd3, 0xac78bf27, 0x5e133c24,
    };
    """
    const uint16_t* CRC16_HIGH "ringfence_crc16_high"
    const uint16_t* CRC16_LOW "ringfence_crc16_low"
    const uint32_t* CRC32_HIGH "ringfence_crc32_high"
    const uint32_t* CRC32_LOW "ringfence_crc32_low"
    const uint32_t* CRC32C_HIGH "ringfence_crc32c_high"
    const uint32_t* CRC32C_LOW "ringfence_crc32c_low"


cdef inline uint32_t signed_char(uint8_t byte) noexcept nogil:
    return <uint32_t><int32_t><int8_t>byte


# --- FNV and one-at-a-time ------------------------------------------------------------------------------------


cdef inline uint32_t fnv1(const uint8_t* data, size_t length, uint32_t h, uint32_t prime) noexcept nogil:
    cdef size_t i
    for i in range(length):
        h = h * prime ^ signed_char(data[i])
    return h


cdef inline uint32_t fnv1a(const uint8_t* data, size_t length, uint32_t h, uint32_t prime) noexcept nogil:
    cdef size_t i
    for i in range(length):
        h = (h ^ signed_char(data[i])) * prime
    return h


cdef inline uint64_t fnv1_64(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return fnv1(data, length, 0x8422_2325, 0x1B3)


cdef inline uint64_t fnv1a_64(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return fnv1a(data, length, 0x8422_2325, 0x1B3)


cdef inline uint64_t fnv1_32(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return fnv1(data, length, 0x811C_9DC5, 0x0100_0193)


cdef inline uint64_t fnv1a_32(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return fnv1a(data, length, 0x811C_9DC5, 0x0100_0193)


cdef inline uint64_t fnv1a_unsigned(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint32_t h = 0x811C_9DC5
    cdef size_t i
    for i in range(length):
        h = (h ^ data[i]) * <uint32_t>0x0100_0193
    return h


cdef inline uint64_t one_at_a_time(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint32_t h = 0
    cdef size_t i
    for i in range(length):
        h = (h + signed_char(data[i])) * 1025
        h ^= h >> 6
    h *= 9
    h ^= h >> 11
    return <uint32_t>(h * 32769)


# --- cyclic redundancy checks ---------------------------------------------------------------------------------


cdef inline uint32_t crc16_of(uint32_t byte) noexcept nogil:
    return CRC16_HIGH[byte >> 4] ^ CRC16_LOW[byte & 15]


cdef inline uint64_t crc16(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint32_t crc = 0
    cdef size_t i
    for i in range(length):
        crc = crc << 8 ^ crc16_of((crc >> 8 ^ data[i]) & 0xFF)
    return crc


cdef inline uint64_t crc16_xmodem(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return crc16(data, length, seed) & 0xFFFF


cdef inline uint32_t reflected_crc32(
    const uint8_t* data, size_t length, const uint32_t* high, const uint32_t* low
) noexcept nogil:
    cdef uint32_t crc = 0xFFFF_FFFF, byte
    cdef size_t i
    for i in range(length):
        byte = (crc ^ data[i]) & 0xFF
        crc = crc >> 8 ^ high[byte >> 4] ^ low[byte & 15]
    return ~crc


cdef inline uint64_t crc32a(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return reflected_crc32(data, length, CRC32_HIGH, CRC32_LOW)


cdef inline uint64_t crc32c(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return reflected_crc32(data, length, CRC32C_HIGH, CRC32C_LOW)


cdef inline uint64_t crc32(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return crc32a(data, length, seed) >> 16 & 0x7FFF


# --- Hsieh and Jenkins ----------------------------------------------------------------------------------------


cdef inline uint64_t hsieh(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint32_t h = 0, four
    if length == 0:
        return 0
    while length >= 4:
        four = load32(data)
        h += four & 0xFFFF
        h = h << 16 ^ (four >> 16) << 11 ^ h
        h += h >> 11
        data += 4
        length -= 4
    if length == 3:
        h += <uint32_t>load_tail(data, 2)
        h ^= h << 16
        h ^= signed_char(data[2]) << 18
        h += h >> 11
    elif length == 2:
        h += <uint32_t>load_tail(data, 2)
        h ^= h << 11
        h += h >> 17
    elif length == 1:
        h += data[0]
        h ^= h << 10
        h += h >> 1
    h ^= h << 3
    h += h >> 5
    h ^= h << 4
    h += h >> 17
    h ^= h << 25
    return <uint32_t>(h + (h >> 6))


cdef inline uint64_t jenkins(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint32_t a, b, c
    a = b = c = <uint32_t>0xDEAD_BEEF + <uint32_t>length + 13
    while length > 12:
        a += load32(data)
        b += load32(data + 4)
        c += load32(data + 8)
        a = (a - c) ^ rotl32(c, 4)
        c += b
        b = (b - a) ^ rotl32(a, 6)
        a += c
        c = (c - b) ^ rotl32(b, 8)
        b += a
        a = (a - c) ^ rotl32(c, 16)
        c += b
        b = (b - a) ^ rotl32(a, 19)
        a += c
        c = (c - b) ^ rotl32(b, 4)
        b += a
        data += 12
        length -= 12
    if length == 0:
        return c
    a += <uint32_t>load_tail(data, length if length < 4 else 4)
    if length > 4:
        b += <uint32_t>load_tail(data + 4, length - 4 if length < 8 else 4)
    if length > 8:
        c += <uint32_t>load_tail(data + 8, length - 8)
    c = (c ^ b) - rotl32(b, 14)
    a = (a ^ c) - rotl32(c, 11)
    b = (b ^ a) - rotl32(a, 25)
    c = (c ^ b) - rotl32(b, 16)
    a = (a ^ c) - rotl32(c, 4)
    b = (b ^ a) - rotl32(a, 14)
    return <uint32_t>((c ^ b) - rotl32(b, 24))


# --- HAProxy --------------------------------------------------------------------------------------------------


cdef inline uint64_t sdbm(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint32_t h = 0
    cdef size_t i
    for i in range(length):
        h = data[i] + (h << 6) + (h << 16) - h
    return h


cdef inline uint64_t djb2(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint32_t h = 5381
    cdef size_t i
    for i in range(length):
        h = h * 33 + data[i]
    return h


cdef inline uint64_t wt6(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint32_t h0 = 0xA53C_965A, h1 = 0x5CA6_953A, step0 = 6, step1 = 18, steps, other
    cdef size_t i
    for i in range(length):
        h0 = ~(h0 ^ data[i])
        h1 = ~(h1 + data[i])
        other = rotl32(h1, step0)
        h1 = rotl32(h0, step1)
        h0 = other
        steps = (h0 >> 16 ^ h1) & 0xFFFF
        step0 = steps & 0x1F
        step1 = steps >> 11
    return h0 ^ h1


cdef inline uint64_t full_hash(uint32_t a) noexcept nogil:
    a = (a + <uint32_t>0x7ED5_5D16) + (a << 12)
    a = a ^ <uint32_t>0xC761_C23C ^ a >> 19
    a = (a + <uint32_t>0x1656_67B1) + (a << 5)
    a = (a + <uint32_t>0xD3A2_646C) ^ a << 9
    a = (a + <uint32_t>0xFD70_46C5) + (a << 3)
    a = a ^ <uint32_t>0xB55A_4F09 ^ a >> 16
    return <uint32_t>(a * <uint32_t>0xC000_0001)


cdef inline uint64_t sdbm_avalanche(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return full_hash(<uint32_t>sdbm(data, length, seed))


cdef inline uint64_t djb2_avalanche(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return full_hash(<uint32_t>djb2(data, length, seed))


cdef inline uint64_t wt6_avalanche(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return full_hash(<uint32_t>wt6(data, length, seed))


cdef inline uint64_t crc32_avalanche(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    return full_hash(<uint32_t>crc32a(data, length, seed))
