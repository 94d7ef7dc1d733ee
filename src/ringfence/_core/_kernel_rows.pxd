# cython: language_level=3
"""Rows of nodes in order of preference, compiled; `_kernel_rows.py` holds the same names, documented."""
from cpython.ref cimport PyObject
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from ringfence._core._kernel_array cimport indices, words
from ringfence._core._kernel_search cimport find_steady, put_name


cdef extern from "Python.h":
    tuple PyTuple_New(Py_ssize_t size)


cdef inline tuple named(const uint32_t* row, Py_ssize_t wanted, tuple names):
    cdef tuple found = PyTuple_New(wanted)
    cdef Py_ssize_t i
    for i in range(wanted):
        put_name(found, i, names, row[i])
    return found


cdef inline bint holds(const uint32_t* row, Py_ssize_t have, uint32_t owner) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(have):
        if row[i] == owner:
            return True
    return False


cdef inline void walk(
    const uint32_t* owners, uint32_t count, uint32_t start, uint32_t* row, Py_ssize_t wanted, uint64_t* seen,
    uint64_t stamp
) noexcept nogil:
    # A stamp of its own for each row spares clearing what was seen before.
    cdef Py_ssize_t have = 0
    while have < wanted:
        if start >= count:
            start = 0
        if seen[owners[start]] != stamp:
            seen[owners[start]] = stamp
            row[have] = owners[start]
            have += 1
        start += 1


cdef inline int ring_rows(
    object points, object table, int shift, object owners, uint32_t nodes, object hashes, object out
) except -1:
    cdef const uint64_t* point = words(points)
    cdef const uint32_t* starts = indices(table)
    cdef const uint32_t* of = indices(owners)
    cdef const uint64_t* at = words(hashes)
    cdef uint32_t* to = indices(out)
    cdef Py_ssize_t i, count = len(out), wanted = out.shape[1]
    cdef uint32_t total = len(owners) - 1
    cdef uint64_t* seen = <uint64_t*>calloc(nodes, 8)
    if seen == NULL:
        raise MemoryError
    with nogil:
        for i in range(count):
            walk(of, total, find_steady(point, starts, shift, at[i]), to + i * wanted, wanted, seen, i + 1)
    free(seen)
    return 0
