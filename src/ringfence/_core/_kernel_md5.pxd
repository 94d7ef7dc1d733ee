# cython: language_level=3
"""MD5, compiled; `_kernel_md5.py` holds the same names, documented."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define RINGFENCE_LITTLE32(x) __builtin_bswap32(x)
    #define RINGFENCE_BIG32(x) (x)
    #else
    #define RINGFENCE_LITTLE32(x) (x)
    #define RINGFENCE_BIG32(x) __builtin_bswap32(x)
    #endif
    #define RINGFENCE_MD5_START {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u}

    /* A step of each of the four rounds. What does not wait for the step before, `w + t` and half of the second
       round's function, is added apart, for a chain of four or five operations a step is all that MD5 costs. */
    #define RINGFENCE_ROTATED(x, by) ((x) << (by) | (x) >> (32 - (by)))
    #define RINGFENCE_F(a, b, c, d, k, by, t) \
        a += w[k] + t; a += d ^ (b & (c ^ d)); a = RINGFENCE_ROTATED(a, by) + b;
    #define RINGFENCE_G(a, b, c, d, k, by, t) \
        a += (w[k] + t) + (~d & c); a += d & b; a = RINGFENCE_ROTATED(a, by) + b;
    #define RINGFENCE_H(a, b, c, d, k, by, t) \
        a += w[k] + t; a += b ^ (c ^ d); a = RINGFENCE_ROTATED(a, by) + b;
    #define RINGFENCE_I(a, b, c, d, k, by, t) \
        a += w[k] + t; a += c ^ (b | ~d); a = RINGFENCE_ROTATED(a, by) + b;
    #define RINGFENCE_FOUR(S, k0, k1, k2, k3, s0, s1, s2, s3, t0, t1, t2, t3) \
        S(a, b, c, d, k0, s0, t0) S(d, a, b, c, k1, s1, t1) S(c, d, a, b, k2, s2, t2) S(b, c, d, a, k3, s3, t3)
    #define RINGFENCE_FF(k0, k1, k2, k3, ...) RINGFENCE_FOUR(RINGFENCE_F, k0, k1, k2, k3, 7, 12, 17, 22, __VA_ARGS__)
    #define RINGFENCE_GG(k0, k1, k2, k3, ...) RINGFENCE_FOUR(RINGFENCE_G, k0, k1, k2, k3, 5, 9, 14, 20, __VA_ARGS__)
    #define RINGFENCE_HH(k0, k1, k2, k3, ...) RINGFENCE_FOUR(RINGFENCE_H, k0, k1, k2, k3, 4, 11, 16, 23, __VA_ARGS__)
    #define RINGFENCE_II(k0, k1, k2, k3, ...) RINGFENCE_FOUR(RINGFENCE_I, k0, k1, k2, k3, 6, 10, 15, 21, __VA_ARGS__)
    #define RINGFENCE_MD5_FIRST_61 \
        RINGFENCE_FF(0, 1, 2, 3, 0xd76aa478u, 0xe8c7b756u, 0x242070dbu, 0xc1bdceeeu) \
        RINGFENCE_FF(4, 5, 6, 7, 0xf57c0fafu, 0x4787c62au, 0xa8304613u, 0xfd469501u) \
        RINGFENCE_FF(8, 9, 10, 11, 0x698098d8u, 0x8b44f7afu, 0xffff5bb1u, 0x895cd7beu) \
        RINGFENCE_FF(12, 13, 14, 15, 0x6b901122u, 0xfd987193u, 0xa679438eu, 0x49b40821u) \
        RINGFENCE_GG(1, 6, 11, 0, 0xf61e2562u, 0xc040b340u, 0x265e5a51u, 0xe9b6c7aau) \
        RINGFENCE_GG(5, 10, 15, 4, 0xd62f105du, 0x02441453u, 0xd8a1e681u, 0xe7d3fbc8u) \
        RINGFENCE_GG(9, 14, 3, 8, 0x21e1cde6u, 0xc33707d6u, 0xf4d50d87u, 0x455a14edu) \
        RINGFENCE_GG(13, 2, 7, 12, 0xa9e3e905u, 0xfcefa3f8u, 0x676f02d9u, 0x8d2a4c8au) \
        RINGFENCE_HH(5, 8, 11, 14, 0xfffa3942u, 0x8771f681u, 0x6d9d6122u, 0xfde5380cu) \
        RINGFENCE_HH(1, 4, 7, 10, 0xa4beea44u, 0x4bdecfa9u, 0xf6bb4b60u, 0xbebfbc70u) \
        RINGFENCE_HH(13, 0, 3, 6, 0x289b7ec6u, 0xeaa127fau, 0xd4ef3085u, 0x04881d05u) \
        RINGFENCE_HH(9, 12, 15, 2, 0xd9d4d039u, 0xe6db99e5u, 0x1fa27cf8u, 0xc4ac5665u) \
        RINGFENCE_II(0, 7, 14, 5, 0xf4292244u, 0x432aff97u, 0xab9423a7u, 0xfc93a039u) \
        RINGFENCE_II(12, 3, 10, 1, 0x655b59c3u, 0x8f0ccc92u, 0xffeff47du, 0x85845dd1u) \
        RINGFENCE_II(8, 15, 6, 13, 0x6fa87e4fu, 0xfe2ce6e0u, 0xa3014314u, 0x4e0811a1u) \
        RINGFENCE_I(a, b, c, d, 4, 6, 0xf7537e82u)
    #define RINGFENCE_MD5_LAST_3 \
        RINGFENCE_I(d, a, b, c, 11, 10, 0xbd3af235u) RINGFENCE_I(c, d, a, b, 2, 15, 0x2ad7d2bbu) \
        RINGFENCE_I(b, c, d, a, 9, 21, 0xeb86d391u)

    static inline void ringfence_md5_words(const uint8_t *data, uint32_t *w) {
        memcpy(w, data, 64);
        for (int k = 0; k < 16; k++) w[k] = RINGFENCE_LITTLE32(w[k]);
    }
    static inline void ringfence_md5_block(const uint8_t *data, uint32_t *state) {
        uint32_t w[16], a = state[0], b = state[1], c = state[2], d = state[3];
        ringfence_md5_words(data, w);
        RINGFENCE_MD5_FIRST_61 RINGFENCE_MD5_LAST_3
        state[0] += a; state[1] += b; state[2] += c; state[3] += d;
    }
    /* Put the padding after the last `rest` bytes of a message, at most 55, and its length. */
    static inline void ringfence_md5_sealed(const uint8_t *data, size_t rest, uint64_t length, uint8_t *to) {
        memset(to, 0, 64);
        memcpy(to, data, rest);
        to[rest] = 0x80;
        for (int i = 0; i < 8; i++) to[56 + i] = (uint8_t)(length << 3 >> 8 * i);
    }
    static inline void ringfence_md5(const uint8_t *data, size_t length, uint32_t *state) {
        static const uint32_t start[4] = RINGFENCE_MD5_START;
        uint8_t last[64];
        size_t rest = length;
        memcpy(state, start, 16);
        for (; rest >= 64; rest -= 64, data += 64) ringfence_md5_block(data, state);
        if (rest > 55) {
            memset(last, 0, 64);
            memcpy(last, data, rest);
            last[rest] = 0x80;
            ringfence_md5_block(last, state);
            memset(last, 0, 56);
            for (int i = 0; i < 8; i++) last[56 + i] = (uint8_t)((uint64_t)length << 3 >> 8 * i);
        } else
            ringfence_md5_sealed(data, rest, length, last);
        ringfence_md5_block(last, state);
    }
    static inline uint64_t ringfence_md5_high(const uint8_t *data, size_t length, uint64_t seed) {
        uint32_t state[4];
        (void)seed;
        ringfence_md5(data, length, state);
        return (uint64_t)RINGFENCE_BIG32(state[0]) << 32 | RINGFENCE_BIG32(state[1]);
    }
    static inline uint64_t ringfence_md5_low(const uint8_t *data, size_t length, uint64_t seed) {
        uint32_t state[4];
        (void)seed;
        ringfence_md5(data, length, state);
        return (uint64_t)RINGFENCE_BIG32(state[2]) << 32 | RINGFENCE_BIG32(state[3]);
    }
    /* The first word is known three steps before the end. */
    static inline uint64_t ringfence_md5_word(const uint8_t *data, size_t length, uint64_t seed) {
        uint32_t w[16], a = 0x67452301u, b = 0xefcdab89u, c = 0x98badcfeu, d = 0x10325476u;
        uint8_t last[64];
        (void)seed;
        if (length > 55) {
            uint32_t state[4];
            ringfence_md5(data, length, state);
            return state[0];
        }
        ringfence_md5_sealed(data, length, length, last);
        ringfence_md5_words(last, w);
        RINGFENCE_MD5_FIRST_61
        return (uint32_t)(a + 0x67452301u);
    }
    /* Eight messages of at most 55 bytes side by side: alone, each step would wait for the one before. */
    typedef uint32_t ringfence_eight __attribute__((vector_size(32)));
    static inline void ringfence_md5_eight(const uint8_t **data, const size_t *length, uint32_t *first, uint32_t *second) {
        ringfence_eight w[16], a = {0}, b, c, d;
        for (int row = 0; row < 8; row++) {
            uint32_t words[16];
            uint8_t last[64];
            ringfence_md5_sealed(data[row], length[row], length[row], last);
            ringfence_md5_words(last, words);
            for (int k = 0; k < 16; k++) w[k][row] = words[k];
        }
        b = a + 0xefcdab89u; c = a + 0x98badcfeu; d = a + 0x10325476u; a += 0x67452301u;
        RINGFENCE_MD5_FIRST_61 RINGFENCE_MD5_LAST_3
        a += 0x67452301u; b += 0xefcdab89u;
        memcpy(first, &a, 32);
        memcpy(second, &b, 32);
    }
    static inline void ringfence_md5_words_of_eight(const uint8_t **data, const size_t *length, uint64_t *out) {
        uint32_t first[8], second[8];
        ringfence_md5_eight(data, length, first, second);
        for (int row = 0; row < 8; row++) out[row] = first[row];
    }
    static inline void ringfence_md5_highs_of_eight(const uint8_t **data, const size_t *length, uint64_t *out) {
        uint32_t first[8], second[8];
        ringfence_md5_eight(data, length, first, second);
        for (int row = 0; row < 8; row++)
            out[row] = (uint64_t)RINGFENCE_BIG32(first[row]) << 32 | RINGFENCE_BIG32(second[row]);
    }
    """
    void md5_words_of_eight "ringfence_md5_words_of_eight"(
        const uint8_t** data, const size_t* length, uint64_t* out
    ) noexcept nogil
    void md5_highs_of_eight "ringfence_md5_highs_of_eight"(
        const uint8_t** data, const size_t* length, uint64_t* out
    ) noexcept nogil
    void md5 "ringfence_md5"(const uint8_t* data, size_t length, uint32_t* state) noexcept nogil
    uint64_t md5_high "ringfence_md5_high"(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil
    uint64_t md5_low "ringfence_md5_low"(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil
    uint64_t md5_word "ringfence_md5_word"(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil
