# cython: language_level=3
"""Maglev hashing, compiled; `_kernel_maglev.py` holds the same names, documented."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ringfence._core._kernel_array cimport address, indices, words
from ringfence._core._kernel_rows cimport walk


cdef extern from *:
    """
    #include <stdint.h>
    /* The remainder by a size whose floor((2**64 - 1) / size) is at hand: the quotient is at most one too small. */
    static inline uint32_t ringfence_remainder(uint64_t h, uint64_t size, uint64_t inverse) {
    #ifdef __SIZEOF_INT128__
        uint64_t rest = h - (uint64_t)((unsigned __int128)h * inverse >> 64) * size;
        return (uint32_t)(rest < size ? rest : rest - size);
    #else
        (void)inverse;
        return (uint32_t)(h % size);
    #endif
    }
    """
    uint32_t remainder "ringfence_remainder"(uint64_t h, uint64_t size, uint64_t inverse) noexcept nogil


cdef inline int populate(object offsets, object skips, object weights, object table) except -1:
    cdef const uint64_t* skip = words(skips)
    cdef uint64_t* at = words(offsets)
    cdef const double* weight = <const double*>address(weights)
    cdef uint32_t* to = indices(table)
    cdef uint32_t count = len(offsets), size = len(table)
    cdef double* target = <double*>calloc(count, 8)
    if target == NULL:
        raise MemoryError
    memset(to, 0xFF, <size_t>size * 4)
    with nogil:
        take_turns(at, skip, weight, target, count, to, size)
    free(target)
    return 0


cdef inline void take_turns(
    uint64_t* at, const uint64_t* skip, const double* weight, double* target, uint32_t count, uint32_t* to,
    uint32_t size
) noexcept nogil:
    cdef uint32_t i, filled = 0, free_slot = <uint32_t>0 - 1
    cdef double turn = 0, most = 0
    for i in range(count):
        most = max(most, weight[i])
    while True:
        turn += 1
        for i in range(count):
            if turn * weight[i] < target[i]:
                continue
            target[i] += most
            while to[at[i]] != free_slot:
                at[i] += skip[i]
                if at[i] >= size:
                    at[i] -= size
            to[at[i]] = i
            filled += 1
            if filled == size:
                return


cdef inline int slots_many(object hashes, object table, uint64_t inverse, object out) except -1:
    cdef const uint64_t* at = words(hashes)
    cdef const uint32_t* of = indices(table)
    cdef uint32_t* to = indices(out)
    cdef uint64_t size = len(table)
    cdef Py_ssize_t i, count = len(out)
    with nogil:
        for i in range(count):
            to[i] = of[remainder(at[i], size, inverse)]
    return 0


cdef inline int table_rows(object hashes, object table, uint64_t inverse, uint32_t nodes, object out) except -1:
    cdef const uint64_t* at = words(hashes)
    cdef const uint32_t* of = indices(table)
    cdef uint32_t* to = indices(out)
    cdef uint32_t size = len(table)
    cdef Py_ssize_t i, count = len(out), wanted = out.shape[1]
    cdef uint64_t* seen = <uint64_t*>calloc(nodes, 8)
    if seen == NULL:
        raise MemoryError
    with nogil:
        for i in range(count):
            walk(of, size, remainder(at[i], size, inverse), to + i * wanted, wanted, seen, i + 1)
    free(seen)
    return 0
