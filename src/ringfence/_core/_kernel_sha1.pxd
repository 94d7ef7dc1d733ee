# cython: language_level=3
"""SHA-1, compiled; `_kernel_sha1.py` holds the same names, documented."""
from libc.stdint cimport uint8_t, uint64_t


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #define RINGFENCE_SHA1_ROTATED(x, by) ((x) << (by) | (x) >> (32 - (by)))

    static inline void ringfence_sha1_block(const uint8_t *data, uint32_t *state) {
        uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], next;
        for (int i = 0; i < 16; i++, data += 4)
            w[i] = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
        for (int i = 16; i < 80; i++)
            w[i] = RINGFENCE_SHA1_ROTATED(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    #define RINGFENCE_SHA1_ROUND(from, f, k) \
        for (int i = from; i < from + 20; i++) { \
            next = RINGFENCE_SHA1_ROTATED(a, 5) + (f) + e + k + w[i]; \
            e = d; d = c; c = RINGFENCE_SHA1_ROTATED(b, 30); b = a; a = next; \
        }
        RINGFENCE_SHA1_ROUND(0, d ^ (b & (c ^ d)), 0x5a827999u)
        RINGFENCE_SHA1_ROUND(20, b ^ c ^ d, 0x6ed9eba1u)
        RINGFENCE_SHA1_ROUND(40, (b & c) | (d & (b | c)), 0x8f1bbcdcu)
        RINGFENCE_SHA1_ROUND(60, b ^ c ^ d, 0xca62c1d6u)
        state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e;
    }
    static inline uint64_t ringfence_sha1_high(const uint8_t *data, size_t length, uint64_t seed) {
        uint32_t state[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
        uint8_t last[128] = {0};
        size_t rest = length, end;
        (void)seed;
        for (; rest >= 64; rest -= 64, data += 64) ringfence_sha1_block(data, state);
        end = rest > 55 ? 128 : 64;
        memcpy(last, data, rest);
        last[rest] = 0x80;
        for (int i = 0; i < 8; i++) last[end - 1 - i] = (uint8_t)((uint64_t)length << 3 >> 8 * i);
        for (size_t at = 0; at < end; at += 64) ringfence_sha1_block(last + at, state);
        return (uint64_t)state[0] << 32 | state[1];
    }
    """
    uint64_t sha1_high "ringfence_sha1_high"(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil
