# cython: language_level=3
"""The building of sorted points, compiled; `_kernel_layout.py` holds the same names, documented."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from ringfence._core._kernel_array cimport indices, words
from ringfence._core._kernel_hash cimport splitmix64
from ringfence._core._kernel_search cimport bounded


cdef inline int fill_points(object points, Py_ssize_t start, Py_ssize_t count, uint64_t state) except -1:
    cdef uint64_t* to = words(points) + start
    cdef Py_ssize_t i
    for i in range(count):
        to[i] = splitmix64(state, i)
    return 0


cdef inline int sort_points(object points, object owners, Py_ssize_t count) except -1:
    # Least significant digit first, 11 bits a pass: stable, so equal points stay in the order of their owners.
    cdef uint64_t* a = words(points)
    cdef uint32_t* b = indices(owners)
    cdef uint64_t* spare_a = <uint64_t*>malloc((count + 1) * 8)
    cdef uint32_t* spare_b = <uint32_t*>malloc((count + 1) * 4)
    cdef uint32_t* starts = <uint32_t*>calloc(6 * 2048, 4)
    try:
        if spare_a == NULL or spare_b == NULL or starts == NULL:
            raise MemoryError
        with nogil:
            radix_sort(a, b, spare_a, spare_b, starts, count)
    finally:
        free(spare_a)
        free(spare_b)
        free(starts)
    return 0


cdef inline void radix_sort(
    uint64_t* a, uint32_t* b, uint64_t* to_a, uint32_t* to_b, uint32_t* starts, Py_ssize_t count
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int digit
    cdef uint32_t total, size, at
    cdef uint32_t* start
    for i in range(count):
        for digit in range(6):
            starts[digit * 2048 + (a[i] >> 11 * digit & 2047)] += 1
    for digit in range(6):
        start = starts + digit * 2048
        total = 0
        for i in range(2048):
            size = start[i]
            start[i] = total
            total += size
        for i in range(count):
            at = start[a[i] >> 11 * digit & 2047]
            start[a[i] >> 11 * digit & 2047] += 1
            to_a[at] = a[i]
            to_b[at] = b[i]
        a, to_a = to_a, a
        b, to_b = to_b, b


cdef inline int fill_table(object table, object points, Py_ssize_t count, int shift) except -1:
    cdef uint32_t* to = indices(table)
    cdef const uint64_t* at = words(points)
    cdef Py_ssize_t i, size = len(table)
    cdef uint32_t total = 0, here
    memset(to, 0, size * 4)
    for i in range(count):
        to[at[i] >> shift] += 1
    for i in range(size):
        here = to[i]
        to[i] = total
        total += here
    return 0


cdef inline int shift_table(object table, object old, object added, int shift) except -1:
    cdef uint32_t* to = indices(table)
    cdef const uint32_t* at = indices(old)
    cdef const uint64_t* point = words(added)
    cdef Py_ssize_t i = 0, end, j, size = len(table), count = len(added)
    for j in range(count + 1):
        end = size if j == count else <Py_ssize_t>(point[j] >> shift) + 1
        while i < end:
            to[i] = at[i] + <uint32_t>j
            i += 1
    return 0


cdef inline int merge_points(
    object points, object owners, Py_ssize_t count, object added, uint32_t owner, object to_points, object to_owners
) except -1:
    cdef const uint64_t* at = words(points)
    cdef const uint32_t* of = indices(owners)
    cdef const uint64_t* point = words(added)
    cdef uint64_t* to = words(to_points)
    cdef uint32_t* to_of = indices(to_owners)
    cdef Py_ssize_t i = 0, j, k, end, news = len(added)
    for j in range(news + 1):
        end = count
        if j < news:
            end = bounded(at, i, count, point[j])
            while end < count and at[end] == point[j] and of[end] < owner:
                end += 1
        memcpy(to + i + j, at + i, (end - i) * 8)
        for k in range(i, end):
            to_of[k + j] = of[k] + (of[k] >= owner)
        i = end
        if j < news:
            to[i + j] = point[j]
            to_of[i + j] = owner
    return 0


cdef inline int drop_points(
    object points, object owners, Py_ssize_t count, uint32_t owner, object to_points, object to_owners
) except -1:
    cdef const uint64_t* at = words(points)
    cdef const uint32_t* of = indices(owners)
    cdef uint64_t* to = words(to_points)
    cdef uint32_t* to_of = indices(to_owners)
    cdef Py_ssize_t i, kept = 0
    for i in range(count):
        to[kept] = at[i]
        to_of[kept] = of[i] - (of[i] > owner)
        kept += of[i] != owner
    return 0
