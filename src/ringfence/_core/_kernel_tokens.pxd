# cython: language_level=3
"""Replicas over data centres and racks, compiled; `_kernel_tokens.py` holds the same names, documented."""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_Next
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from ringfence._core._kernel_rows cimport holds, named


cdef extern from "Python.h":
    PyObject* PyTuple_GET_ITEM(object items, Py_ssize_t i)


cdef inline bint same(object replication, object known, tuple items):
    if replication is known:
        return True
    if type(replication) is not type(known):
        return False
    return type(known) is dict and holds_items(<dict>replication, items) or replication == known


cdef inline bint holds_items(dict mapping, tuple items):
    # Mostly it is the very mapping asked with before, or one of the same strings and small ints: no need to compare.
    cdef Py_ssize_t at = 0, i = 0
    cdef PyObject* key = NULL
    cdef PyObject* value = NULL
    cdef bint alike = 2 * len(mapping) == len(items)
    with cython.critical_section(mapping):
        while alike and PyDict_Next(mapping, &at, &key, &value):
            alike = key == PyTuple_GET_ITEM(items, i) and value == PyTuple_GET_ITEM(items, i + 1)
            i += 2
    return alike


cdef inline object plan_of(list left, list repeats):
    cdef Py_ssize_t i, count = len(left)
    cdef bytes plan = PyBytes_FromStringAndSize(NULL, 8 * count)
    cdef int32_t* number = <int32_t*>PyBytes_AS_STRING(plan)
    for i in range(count):
        number[i] = left[i]
        number[count + i] = repeats[i]
    return plan


cdef inline tuple spread(
    const uint32_t* owners, uint32_t count, uint32_t start, tuple names, const uint32_t* centres, const uint32_t* racks,
    Py_ssize_t centre_count, bytes plan
):
    cdef const int32_t* left = <const int32_t*>PyBytes_AS_STRING(plan)
    cdef Py_ssize_t i, wanted = 0
    for i in range(centre_count):
        wanted += left[i]
    cdef uint32_t[96] few
    cdef uint32_t* scratch = <uint32_t*>&few[0]
    cdef size_t size = 2 * (wanted + centre_count)
    if size > 96:
        scratch = <uint32_t*>malloc(4 * size)
    if scratch == NULL:
        raise MemoryError
    try:
        memcpy(scratch + 2 * wanted, left, 8 * centre_count)
        i = walk(owners, count, start, centres, racks, centre_count, wanted, scratch)
        return named(scratch, i, names)
    finally:
        if size > 96:
            free(scratch)


cdef inline Py_ssize_t walk(
    const uint32_t* owners, uint32_t count, uint32_t start, const uint32_t* centres, const uint32_t* racks,
    Py_ssize_t centre_count, Py_ssize_t wanted, uint32_t* found
) noexcept nogil:
    cdef uint32_t* met = found + wanted  # the rack of each node found
    cdef int32_t* left = <int32_t*>(met + wanted)
    cdef int32_t* repeats = left + centre_count
    cdef Py_ssize_t have = 0
    cdef uint32_t i, node, centre
    for i in range(count):
        if have == wanted:
            break
        if start >= count:
            start = 0
        node = owners[start]
        start += 1
        centre = centres[node]
        if left[centre] <= 0 or holds(found, have, node):
            continue
        if holds(met, have, racks[node]):
            if repeats[centre] <= 0:
                continue  # as many distinct racks are left as replicas
            repeats[centre] -= 1
        found[have] = node
        met[have] = racks[node]
        left[centre] -= 1
        have += 1
    return have
