# cython: language_level=3
"""Ring search, compiled; `_kernel_search.py` holds the same names, documented."""
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from ringfence._core._kernel_array cimport indices, words


cdef extern from *:
    bint unlikely(bint condition) noexcept nogil


cdef extern from "Python.h":
    bint PyLong_CheckExact(object value)
    long PyLong_AsLongAndOverflow(object value, int* overflow) except? -1
    tuple PyTuple_New(Py_ssize_t size)
    PyObject* PyTuple_GET_ITEM(tuple items, Py_ssize_t i)
    void PyTuple_SET_ITEM(tuple items, Py_ssize_t i, PyObject* item)
    void Py_INCREF(PyObject* item)


cdef inline uint32_t bounded(const uint64_t* points, uint32_t low, uint32_t high, uint64_t h) noexcept nogil:
    cdef uint32_t half, size = high - low
    while size > 1:
        half = size >> 1
        low += half * (points[low + half - 1] < h)
        size -= half
    return low + (size == 1 and points[low] < h)


cdef inline uint32_t find(const uint64_t* points, const uint32_t* table, int shift, uint64_t h) noexcept nogil:
    # Alone, a look-up waits for memory: a loop lets the processor guess its end and load on.
    cdef uint64_t bucket = h >> shift
    cdef uint32_t low = table[bucket], far = low + 8
    while points[low] < h:
        low += 1
        if unlikely(low == far):
            return bounded(points, low, table[bucket + 1], h)
    return low


cdef inline uint32_t find_steady(
    const uint64_t* points, const uint32_t* table, int shift, uint64_t h
) noexcept nogil:
    # Among many, look-ups overlap: counting four instead of stopping at the first leaves no branch to mispredict.
    cdef uint64_t bucket = h >> shift
    cdef uint32_t low = table[bucket]
    cdef uint32_t below = (
        <uint32_t>(points[low] < h) + (points[low + 1] < h) + (points[low + 2] < h) + (points[low + 3] < h)
    )
    if unlikely(below == 4):
        return bounded(points, low + 4, table[bucket + 1], h)
    return low + below


cdef inline int find_many(object points, object table, int shift, object owners, object hashes, object out) except -1:
    cdef const uint64_t* point = words(points)
    cdef const uint32_t* starts = indices(table)
    cdef const uint32_t* of = indices(owners)
    cdef const uint64_t* at = words(hashes)
    cdef uint32_t* to = indices(out)
    cdef Py_ssize_t i, count = len(out)
    with nogil:
        for i in range(count):
            to[i] = of[find_steady(point, starts, shift, at[i])]
    return 0


cdef inline Py_ssize_t replica_count(object n, Py_ssize_t most) except -1:
    cdef int overflow = 0
    cdef long wanted
    if PyLong_CheckExact(n):
        wanted = PyLong_AsLongAndOverflow(n, &overflow)
        if 0 < wanted <= most:
            return wanted
    from ringfence._core._checks import replica_count
    return replica_count(n, most)


cdef inline tuple distinct(const uint32_t* owners, uint32_t count, uint32_t start, tuple names, Py_ssize_t wanted):
    if wanted <= 8:
        return few_distinct(owners, count, start, names, wanted)
    cdef tuple found = PyTuple_New(wanted)
    cdef Py_ssize_t have = 0
    cdef uint8_t* seen = <uint8_t*>calloc(len(names), 1)
    if seen == NULL:
        raise MemoryError
    while have < wanted:
        if not seen[owners[start]]:
            seen[owners[start]] = 1
            put_name(found, have, names, owners[start])
            have += 1
        start = start + 1 if start + 1 < count else 0
    free(seen)
    return found


cdef inline tuple few_distinct(
    const uint32_t* owners, uint32_t count, uint32_t start, tuple names, Py_ssize_t wanted
):
    cdef tuple found = PyTuple_New(wanted)
    cdef uint32_t[8] seen
    cdef Py_ssize_t i, have = 0
    while have < wanted:
        seen[have] = owners[start]
        i = 0
        while seen[i] != owners[start]:
            i += 1
        if i == have:
            put_name(found, have, names, owners[start])
            have += 1
        start = start + 1 if start + 1 < count else 0
    return found


cdef inline void put_name(tuple found, Py_ssize_t at, tuple names, uint32_t owner) noexcept:
    cdef PyObject* name = PyTuple_GET_ITEM(names, owner)
    Py_INCREF(name)  # for PyTuple_SET_ITEM takes the reference over
    PyTuple_SET_ITEM(found, at, name)
