# cython: language_level=3
"""Multi-probe hashing, compiled; `_kernel_probes.py` holds the same names, documented."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from ringfence._core._kernel_array cimport indices, words
from ringfence._core._kernel_murmur cimport mix64
from ringfence._core._kernel_rows cimport named
from ringfence._core._kernel_search cimport find_steady


cdef inline uint32_t nearest(
    uint64_t h, const uint64_t* points, const uint32_t* table, int shift, uint32_t count, uint32_t probes
) noexcept nogil:
    cdef uint64_t step = mix64(h) | 1, distance, best = <uint64_t>0 - 1
    cdef uint32_t i, at, found = count
    for i in range(probes):
        at = find_steady(points, table, shift, h)
        at = at if at < count else 0
        distance = points[at] - h
        if distance < best or (distance == best and at < found):
            best = distance
            found = at
        h += step
    return found


cdef inline int nearest_many(
    object hashes, object points, object table, int shift, object owners, uint32_t probes, object out
) except -1:
    cdef const uint64_t* at = words(hashes)
    cdef const uint64_t* point = words(points)
    cdef const uint32_t* starts = indices(table)
    cdef const uint32_t* of = indices(owners)
    cdef uint32_t* to = indices(out)
    cdef uint32_t nodes = len(owners) - 1
    cdef Py_ssize_t i, count = len(out)
    with nogil:
        for i in range(count):
            to[i] = of[nearest(at[i], point, starts, shift, nodes, probes)]
    return 0


cdef inline Py_ssize_t admit(
    uint32_t point, uint64_t distance, uint32_t* row, uint64_t* distances, Py_ssize_t have, Py_ssize_t wanted
) noexcept nogil:
    cdef Py_ssize_t place = 0
    while place < have and row[place] != point:
        place += 1
    if place < have:
        if distance >= distances[place]:
            return have
    elif have < wanted:
        have += 1
    else:
        place = wanted - 1
    while place and (
        distance < distances[place - 1] or (distance == distances[place - 1] and point < row[place - 1])
    ):
        distances[place] = distances[place - 1]
        row[place] = row[place - 1]
        place -= 1
    distances[place] = distance
    row[place] = point
    return have


cdef inline void probes_row(
    uint64_t h, const uint64_t* points, const uint32_t* table, int shift, const uint32_t* owners, uint32_t count,
    uint32_t probes, uint32_t* row, uint64_t* distances, Py_ssize_t wanted
) noexcept nogil:
    cdef uint64_t step = mix64(h) | 1, distance
    cdef uint32_t i, at
    cdef Py_ssize_t have = 0, further
    for i in range(probes):
        at = find_steady(points, table, shift, h)
        for further in range(wanted):
            at = at if at < count else 0
            distance = points[at] - h
            if have == wanted and distance > distances[have - 1]:
                break
            have = admit(at, distance, row, distances, have, wanted)
            at += 1
        h += step
    for further in range(wanted):
        row[further] = owners[row[further]]


cdef inline tuple probes_ranked(
    uint64_t h, const uint64_t* points, const uint32_t* table, int shift, const uint32_t* owners, uint32_t probes,
    tuple names, Py_ssize_t wanted
):
    cdef uint32_t[16] few
    cdef uint64_t[16] few_distances
    cdef uint32_t* row = <uint32_t*>&few[0]
    cdef uint64_t* distances = <uint64_t*>&few_distances[0]
    if wanted > 16:
        row = <uint32_t*>malloc(wanted * 4)
        distances = <uint64_t*>malloc(wanted * 8)
    try:
        if row == NULL or distances == NULL:
            raise MemoryError
        probes_row(h, points, table, shift, owners, <uint32_t>len(names), probes, row, distances, wanted)
        return named(row, wanted, names)
    finally:
        if wanted > 16:
            free(row)
            free(distances)


cdef inline int probes_rows(
    object hashes, object points, object table, int shift, object owners, uint32_t probes, object out
) except -1:
    cdef const uint64_t* at = words(hashes)
    cdef const uint64_t* point = words(points)
    cdef const uint32_t* starts = indices(table)
    cdef const uint32_t* of = indices(owners)
    cdef uint32_t* to = indices(out)
    cdef uint32_t nodes = len(owners) - 1
    cdef Py_ssize_t i, count = len(out), wanted = out.shape[1]
    cdef uint64_t* distances = <uint64_t*>malloc(wanted * 8)
    if distances == NULL:
        raise MemoryError
    with nogil:
        for i in range(count):
            probes_row(at[i], point, starts, shift, of, nodes, probes, to + i * wanted, distances, wanted)
    free(distances)
    return 0
