# cython: language_level=3
"""Jump consistent hash, compiled; `_kernel_jump.py` holds the same names, documented."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from ringfence._core._kernel_array cimport indices, words
from ringfence._core._kernel_hash cimport splitmix64, uint64_key
from ringfence._core._kernel_rows cimport holds, named


cdef extern from *:
    """
    #include <stdint.h>
    /* Read an int of up to 64 bits from its digits: to call for both arguments takes as long as two jumps. */
    static inline int ringfence_word(PyObject* value, uint64_t* word) {
    #if CYTHON_USE_PYLONG_INTERNALS && PyLong_SHIFT == 30
        if (!PyLong_CheckExact(value)) return 0;
    #if PY_VERSION_HEX >= 0x030C0000
        const digit* digits = ((PyLongObject*)value)->long_value.ob_digit;
        uintptr_t tag = ((PyLongObject*)value)->long_value.lv_tag, count = tag & 2 ? 4 : tag >> 3;
    #else
        const digit* digits = ((PyLongObject*)value)->ob_digit;
        size_t count = (size_t)Py_SIZE(value);
    #endif
        if (count > 3 || (count == 3 && digits[2] >> 4)) return 0;  /* too large, or negative */
        *word = count ? digits[0] : 0;
        if (count > 1) *word |= (uint64_t)digits[1] << 30;
        if (count > 2) *word |= (uint64_t)digits[2] << 60;
        return 1;
    #else
        return 0;
    #endif
    }
    """
    bint word_of "ringfence_word"(object value, uint64_t* word) noexcept


cdef inline uint32_t bucket_count(object buckets) except 0:
    cdef uint64_t count = 0
    if word_of(buckets, &count) and 0 < count <= 0x7FFF_FFFF:
        return <uint32_t>count
    from ringfence._core._checks import bucket_count
    return bucket_count(buckets)


cdef inline uint64_t jump_key(object key) except? 7:
    cdef uint64_t number = 0
    return number if word_of(key, &number) else uint64_key(key)


cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t ringfence_jump_step(uint64_t h) { return h * 2862933555777941757ULL + 1; }

    /* The first jump, from bucket 0: no double is close enough below a whole number here to be rounded up to it. */
    static inline uint32_t ringfence_jump_first(uint64_t h) {
        return (uint32_t)0x80000000U / ((uint32_t)(h >> 33) + 1);
    }

    /* Where the paper's program goes from a bucket, in its own doubles. */
    static inline uint64_t ringfence_jump_next(uint32_t bucket, uint64_t h) {
        return (uint64_t)(int64_t)(((double)bucket + 1) * (2147483648.0 / (double)((int64_t)(h >> 33) + 1)));
    }

    /* The paper multiplies and truncates doubles, each jump waiting for the one before. In whole numbers that wait is
       a third as long. Both agree unless the product comes closer below a whole number than the scale is exact and a
       double rounds, which is checked. */
    static inline uint32_t ringfence_jump(uint64_t h, uint32_t count) {
        h = ringfence_jump_step(h);
        uint64_t bucket = 0, further = ringfence_jump_first(h);
        while (further < count) {
            bucket = further;
            h = ringfence_jump_step(h);
            double scale = 4611686018427387904.0 / (double)((int64_t)(h >> 33) + 1);
    #ifdef __SIZEOF_INT128__
            uint64_t next = (bucket + 1) << 33;
            unsigned __int128 product = (unsigned __int128)next * (uint64_t)(int64_t)scale;
            further = (uint64_t)(product >> 64);
            if (__builtin_expect(next >> 63 || (uint64_t)product >= ~next - ((uint64_t)1 << 42), 0))
    #endif
                further = ringfence_jump_next((uint32_t)bucket, h);
        }
        return (uint32_t)bucket;
    }
    """
    uint64_t jump_step "ringfence_jump_step"(uint64_t h) noexcept nogil
    uint32_t jump_first "ringfence_jump_first"(uint64_t h) noexcept nogil
    uint64_t jump_next "ringfence_jump_next"(uint32_t bucket, uint64_t h) noexcept nogil
    uint32_t jump "ringfence_jump"(uint64_t h, uint32_t count) noexcept nogil


cdef inline int jump_many(object hashes, uint32_t count, object out) except -1:
    cdef const uint64_t* at = words(hashes)
    cdef uint32_t* to = indices(out)
    cdef Py_ssize_t start, total = len(out)
    with nogil:
        for start in range(0, total, 256):
            jump_block(at + start, <uint32_t>(total - start if total - start < 256 else 256), count, to + start)
    return 0


cdef inline void jump_block(const uint64_t* at, uint32_t size, uint32_t count, uint32_t* to) noexcept nogil:
    # Each pass moves every key one jump on and keeps those that have not come past the end: without a branch that
    # depends on a key, so that the divisions of many keys overlap.
    cdef uint64_t[256] state
    cdef uint64_t[256] place  # the position of the key, and in the lower half its bucket
    cdef uint32_t i, bucket, active, kept = 0
    cdef uint64_t h, beyond
    for i in range(size):
        h = jump_step(at[i])
        bucket = jump_first(h)
        to[i] = 0
        state[kept] = h
        place[kept] = <uint64_t>i << 32 | bucket
        kept += bucket < count
    while kept:
        active, kept = kept, 0
        for i in range(active):
            bucket = <uint32_t>place[i]
            to[place[i] >> 32] = bucket
            h = jump_step(state[i])
            beyond = jump_next(bucket, h)
            state[kept] = h
            place[kept] = place[i] >> 32 << 32 | <uint32_t>beyond
            kept += beyond < count


cdef inline void jump_row(uint64_t h, uint32_t count, uint32_t* row, Py_ssize_t wanted) noexcept nogil:
    cdef Py_ssize_t have = 1
    cdef uint64_t number = 0
    cdef uint32_t bucket
    row[0] = jump(h, count)
    while have < wanted:
        bucket = jump(splitmix64(h, number), count)
        number += 1
        if not holds(row, have, bucket):
            row[have] = bucket
            have += 1


cdef inline tuple jump_ranked(uint64_t h, tuple names, Py_ssize_t wanted):
    cdef uint32_t[16] few
    cdef uint32_t* row = <uint32_t*>&few[0]
    if wanted > 16:
        row = <uint32_t*>malloc(wanted * 4)
    if row == NULL:
        raise MemoryError
    try:
        jump_row(h, <uint32_t>len(names), row, wanted)
        return named(row, wanted, names)
    finally:
        if wanted > 16:
            free(row)


cdef inline int jump_rows(object hashes, uint32_t count, object out) except -1:
    cdef const uint64_t* at = words(hashes)
    cdef uint32_t* to = indices(out)
    cdef Py_ssize_t i, total = len(out), wanted = out.shape[1]
    with nogil:
        for i in range(total):
            jump_row(at[i], count, to + i * wanted, wanted)
    return 0
