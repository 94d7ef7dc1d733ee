# cython: language_level=3
"""Jump consistent hash, compiled; `_kernel_jump.py` holds the same names, documented."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from ringfence._core._kernel_array cimport indices, words
from ringfence._core._kernel_hash cimport splitmix64, uint64_key
from ringfence._core._kernel_rows cimport holds, named


cdef extern from "Python.h":
    bint PyLong_CheckExact(object value)
    long long PyLong_AsLongLongAndOverflow(object value, int* overflow) except? -1
    long PyLong_AsLongAndOverflow(object value, int* overflow) except? -1


cdef inline uint32_t bucket_count(object buckets) except 0:
    cdef int overflow = 0
    cdef long count
    if PyLong_CheckExact(buckets):
        count = PyLong_AsLongAndOverflow(buckets, &overflow)
        if 0 < count <= 0x7FFF_FFFF:
            return <uint32_t>count
    from ringfence._core._checks import bucket_count
    return bucket_count(buckets)


cdef inline uint64_t jump_key(object key) except? 7:
    cdef int overflow = 0
    cdef long long number
    if PyLong_CheckExact(key):
        number = PyLong_AsLongLongAndOverflow(key, &overflow)
        if number >= 0:  # about twice as fast as the conversion to uint64
            return <uint64_t>number
    return uint64_key(key)


cdef inline uint64_t jump_step(uint64_t state) noexcept nogil:
    return state * <uint64_t>2862933555777941757 + 1


cdef inline int64_t jump_next(int64_t bucket, uint64_t state) noexcept nogil:
    return <int64_t>(<double>(bucket + 1) * (2147483648.0 / <double>(<int64_t>(state >> 33) + 1)))


cdef extern from *:
    """
    #include <stdint.h>
    /* The paper multiplies and truncates doubles, each jump waiting for the one before. In whole numbers that wait is
       a third as long. Both agree unless the product comes closer below a whole number than the scale is exact and a
       double rounds, which is checked. */
    static inline uint32_t ringfence_jump(uint64_t h, uint32_t count) {
        uint64_t bucket = 0, further = 0;
        while (further < count) {
            bucket = further;
            h = h * 2862933555777941757ULL + 1;
            double factor = 2147483648.0 / (double)((int64_t)(h >> 33) + 1);
    #ifdef __SIZEOF_INT128__
            uint64_t next = (bucket + 1) << 33;
            unsigned __int128 product = (unsigned __int128)next * (uint64_t)(int64_t)(factor * 2147483648.0);
            further = (uint64_t)(product >> 64);
            if (__builtin_expect(next >> 63 || (uint64_t)product >= ~next - ((uint64_t)1 << 42), 0))
    #endif
                further = (uint64_t)(int64_t)((double)(int64_t)(bucket + 1) * factor);
        }
        return (uint32_t)bucket;
    }
    """
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
    cdef int64_t[256] further
    cdef uint32_t[256] slot
    cdef uint32_t i, kept, active = size
    cdef uint64_t h
    cdef int64_t bucket, beyond
    for i in range(size):
        state[i] = at[i]
        further[i] = 0
        slot[i] = i
    while active:
        kept = 0
        for i in range(active):
            bucket = further[i]
            to[slot[i]] = <uint32_t>bucket
            h = jump_step(state[i])
            beyond = jump_next(bucket, h)
            state[kept] = h
            further[kept] = beyond
            slot[kept] = slot[i]
            kept += beyond < count
        active = kept


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
