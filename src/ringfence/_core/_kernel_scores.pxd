# cython: language_level=3
"""Weighted rendezvous hashing, compiled; `_kernel_scores.py` holds the same names, documented."""
from libc.math cimport log
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from ringfence._core._kernel_array cimport address, indices, words
from ringfence._core._kernel_murmur cimport mix64
from ringfence._core._kernel_rows cimport named


cdef inline double* weights_of(object array) except NULL:
    return <double*>address(array)


cdef inline double uniform(uint64_t x) noexcept nogil:
    return (<double>(<int64_t>(x >> 12)) + 0.5) * (1.0 / 4503599627370496.0)


cdef inline bint may_beat(double weight, double u, double score) noexcept nogil:
    # -ln(u) > 1 - u, so most nodes are ruled out without a logarithm; the margin is for rounding.
    return weight > score * (1.0 - u) * 0.999999


cdef inline uint32_t highest(
    uint64_t h, const uint64_t* seeds, const double* weights, uint32_t count
) noexcept nogil:
    cdef uint32_t i, owner = 0
    cdef double u, score, best = -1
    for i in range(count):
        u = uniform(mix64(h ^ seeds[i]))
        if may_beat(weights[i], u, best):
            score = weights[i] / -log(u)
            if score > best:
                best = score
                owner = i
    return owner


cdef inline int highest_many(object hashes, object seeds, object weights, object out) except -1:
    cdef const uint64_t* at = words(hashes)
    cdef const uint64_t* seed = words(seeds)
    cdef const double* weight = weights_of(weights)
    cdef uint32_t* to = indices(out)
    cdef uint32_t nodes = len(seeds)
    cdef Py_ssize_t i, count = len(out)
    with nogil:
        for i in range(count):
            to[i] = highest(at[i], seed, weight, nodes)
    return 0


cdef inline void scores_row(
    uint64_t h, const uint64_t* seeds, const double* weights, uint32_t count, uint32_t* row, double* scores,
    Py_ssize_t wanted
) noexcept nogil:
    cdef Py_ssize_t have = 0, place
    cdef uint32_t i
    cdef double u, score
    for i in range(count):
        u = uniform(mix64(h ^ seeds[i]))
        if have == wanted and not may_beat(weights[i], u, scores[have - 1]):
            continue
        score = weights[i] / -log(u)
        if have == wanted and not score > scores[have - 1]:
            continue
        place = have if have < wanted else wanted - 1
        while place and score > scores[place - 1]:
            scores[place] = scores[place - 1]
            row[place] = row[place - 1]
            place -= 1
        scores[place] = score
        row[place] = i
        have += have < wanted


cdef inline tuple scores_ranked(
    uint64_t h, const uint64_t* seeds, const double* weights, tuple names, Py_ssize_t wanted
):
    cdef uint32_t[16] few
    cdef double[16] few_scores
    cdef uint32_t* row = <uint32_t*>&few[0]
    cdef double* scores = <double*>&few_scores[0]
    if wanted > 16:
        row = <uint32_t*>malloc(wanted * 4)
        scores = <double*>malloc(wanted * 8)
    try:
        if row == NULL or scores == NULL:
            raise MemoryError
        scores_row(h, seeds, weights, <uint32_t>len(names), row, scores, wanted)
        return named(row, wanted, names)
    finally:
        if wanted > 16:
            free(row)
            free(scores)


cdef inline int scores_rows(object hashes, object seeds, object weights, object out) except -1:
    cdef const uint64_t* at = words(hashes)
    cdef const uint64_t* seed = words(seeds)
    cdef const double* weight = weights_of(weights)
    cdef uint32_t* to = indices(out)
    cdef uint32_t nodes = len(seeds)
    cdef Py_ssize_t i, count = len(out), wanted = out.shape[1]
    cdef double* scores = <double*>malloc(wanted * 8)
    if scores == NULL:
        raise MemoryError
    with nogil:
        for i in range(count):
            scores_row(at[i], seed, weight, nodes, to + i * wanted, scores, wanted)
    free(scores)
    return 0
