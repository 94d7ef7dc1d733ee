# cython: language_level=3
"""AnchorHash, compiled; `_kernel_anchor.py` holds the same names, documented."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from ringfence._core._kernel_array cimport indices, words
from ringfence._core._kernel_hash cimport splitmix64
from ringfence._core._kernel_rows cimport holds, named


cdef inline int replay(object removed, object left, object heirs) except -1:
    cdef const uint32_t* bucket = indices(removed)
    cdef uint32_t* a = indices(left)
    cdef uint32_t* k = indices(heirs)
    cdef uint32_t size = len(left), count = size, i, gone = len(removed)
    cdef uint32_t* working = <uint32_t*>malloc(8 * <size_t>size + 8)
    if working == NULL:
        raise MemoryError
    cdef uint32_t* where = working + size
    with nogil:
        for i in range(size):
            a[i] = 0
            k[i] = working[i] = where[i] = i
        for i in range(gone):
            count -= 1
            a[bucket[i]] = count
            k[bucket[i]] = working[where[bucket[i]]] = working[count]
            where[working[count]] = where[bucket[i]]
    free(working)
    return 0


cdef inline uint32_t below(uint64_t h, uint32_t count) noexcept nogil:
    return <uint32_t>((h >> 32) * count >> 32)


cdef inline uint32_t anchor(uint64_t h, const uint32_t* left, const uint32_t* heirs, uint32_t size) noexcept nogil:
    cdef uint32_t heir, bucket = below(h, size)
    while left[bucket]:
        heir = below(splitmix64(h, bucket), left[bucket])
        while left[heir] >= left[bucket]:
            heir = heirs[heir]
        bucket = heir
    return bucket


cdef inline int anchor_many(object hashes, object left, object heirs, object places, object out) except -1:
    cdef const uint64_t* at = words(hashes)
    cdef const uint32_t* a = indices(left)
    cdef const uint32_t* k = indices(heirs)
    cdef const uint32_t* place = indices(places)
    cdef uint32_t* to = indices(out)
    cdef uint32_t size = len(left)
    cdef Py_ssize_t i, count = len(out)
    with nogil:
        for i in range(count):
            to[i] = place[anchor(at[i], a, k, size)]
    return 0


cdef inline void anchor_row(
    uint64_t h, const uint32_t* left, const uint32_t* heirs, const uint32_t* places, uint32_t size, uint32_t* row,
    Py_ssize_t wanted
) noexcept nogil:
    cdef Py_ssize_t have = 1
    cdef uint64_t number = 0
    cdef uint32_t place
    row[0] = places[anchor(h, left, heirs, size)]
    while have < wanted:
        place = places[anchor(splitmix64(~h, number), left, heirs, size)]
        number += 1
        if not holds(row, have, place):
            row[have] = place
            have += 1


cdef inline tuple anchor_ranked(
    uint64_t h, const uint32_t* left, const uint32_t* heirs, const uint32_t* places, uint32_t size, tuple names,
    Py_ssize_t wanted
):
    cdef uint32_t[16] few
    cdef uint32_t* row = <uint32_t*>&few[0]
    if wanted > 16:
        row = <uint32_t*>malloc(wanted * 4)
    if row == NULL:
        raise MemoryError
    try:
        anchor_row(h, left, heirs, places, size, row, wanted)
        return named(row, wanted, names)
    finally:
        if wanted > 16:
            free(row)


cdef inline int anchor_rows(object hashes, object left, object heirs, object places, object out) except -1:
    cdef const uint64_t* at = words(hashes)
    cdef const uint32_t* a = indices(left)
    cdef const uint32_t* k = indices(heirs)
    cdef const uint32_t* place = indices(places)
    cdef uint32_t* to = indices(out)
    cdef uint32_t size = len(left)
    cdef Py_ssize_t i, count = len(out), wanted = out.shape[1]
    with nogil:
        for i in range(count):
            anchor_row(at[i], a, k, place, size, to + i * wanted, wanted)
    return 0
