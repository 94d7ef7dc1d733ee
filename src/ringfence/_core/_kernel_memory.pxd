# cython: language_level=3
"""Little-endian words read from memory at any address, for the compiled kernels alone."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define ringfence_little64(x) __builtin_bswap64(x)
    #define ringfence_little32(x) __builtin_bswap32(x)
    #else
    #define ringfence_little64(x) (x)
    #define ringfence_little32(x) (x)
    #endif
    static inline uint64_t ringfence_load64(const uint8_t *at) {
        uint64_t word;
        memcpy(&word, at, 8);
        return ringfence_little64(word);
    }
    static inline uint32_t ringfence_load32(const uint8_t *at) {
        uint32_t word;
        memcpy(&word, at, 4);
        return ringfence_little32(word);
    }
    /* The last `length` (1 to 8) bytes before `end`'s successor, little-endian, without reading outside. */
    static inline uint64_t ringfence_load_tail(const uint8_t *at, size_t length) {
        if (length >= 8) return ringfence_load64(at);
        if (length >= 4)
            return ringfence_load32(at) | (uint64_t)ringfence_load32(at + length - 4) << (8 * (length - 4));
        if (length == 0) return 0;
        return at[0] | (uint64_t)at[length >> 1] << (8 * (length >> 1)) | (uint64_t)at[length - 1] << (8 * (length - 1));
    }
    static inline uint64_t ringfence_rotl(uint64_t x, int by) { return x << by | x >> (64 - by); }
    static inline uint32_t ringfence_rotl32(uint32_t x, int by) { return x << by | x >> ((32 - by) & 31); }
    """
    uint64_t load64 "ringfence_load64"(const uint8_t* at) noexcept nogil
    uint32_t load32 "ringfence_load32"(const uint8_t* at) noexcept nogil
    uint64_t load_tail "ringfence_load_tail"(const uint8_t* at, size_t length) noexcept nogil
    uint64_t rotl "ringfence_rotl"(uint64_t x, int by) noexcept nogil
    uint32_t rotl32 "ringfence_rotl32"(uint32_t x, int by) noexcept nogil
    uint64_t swapped "__builtin_bswap64"(uint64_t x) noexcept nogil
