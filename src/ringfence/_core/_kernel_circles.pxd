# cython: language_level=3
"""Keys on the circles of other systems, compiled; `_kernel_circles.py` holds the same names, documented."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr

from ringfence._core._kernel_array cimport indices, words
from ringfence._core._kernel_digests cimport Hash, hash_of
from ringfence._core._kernel_hash cimport (
    PyList_GET_ITEM, PyUnicode_DATA, PyUnicode_GET_LENGTH, is_ascii, likely,
)
from ringfence._core._kernel_md5 cimport md5_high, md5_highs_of_eight, md5_low, md5_word, md5_words_of_eight
from ringfence._core._kernel_search cimport find, find_steady, unlikely


cdef struct Rule:
    Hash function  # NULL where no key can be read here
    int bits
    bint after
    bint takes_text
    bint takes_bytes
    int opening
    int closing


cdef inline Rule rule_of(
    int kind, int bits, bint after, bint takes_text, bint takes_bytes, str tag
) except *:
    cdef Rule rule
    rule.function = hash_of(kind)
    rule.bits = bits
    rule.after = after
    rule.takes_text = takes_text
    rule.takes_bytes = takes_bytes
    rule.opening = ord(tag[0]) if tag else -1
    rule.closing = ord(tag[1]) if tag else -1
    return rule


cdef inline bint readable(PyObject* key, const Rule* rule, const uint8_t** data, size_t* length) noexcept:
    if likely(rule.takes_text and is_ascii(key)):
        data[0] = <const uint8_t*>PyUnicode_DATA(key)
        length[0] = PyUnicode_GET_LENGTH(key)
    elif rule.takes_bytes and PyBytes_CheckExact(<object>key):
        data[0] = <const uint8_t*>PyBytes_AS_STRING(<object>key)
        length[0] = PyBytes_GET_SIZE(<object>key)
    else:
        return False
    if unlikely(rule.opening >= 0):
        cut(rule, data, length)
    return length[0] > 0 and rule.function != NULL


cdef inline void cut(const Rule* rule, const uint8_t** data, size_t* length) noexcept nogil:
    cdef const uint8_t* start = <const uint8_t*>memchr(data[0], rule.opening, length[0])
    cdef const uint8_t* end
    if start == NULL:
        return
    start += 1
    end = <const uint8_t*>memchr(start, rule.closing, data[0] + length[0] - start)
    if end > start:
        data[0] = start
        length[0] = end - start


cdef inline int64_t find_key(
    const uint64_t* points, const uint64_t* lows, const uint32_t* table, int shift, uint32_t count, Rule rule,
    object key
) noexcept:
    cdef const uint8_t* data
    cdef size_t length
    cdef uint64_t h
    if not readable(<PyObject*>key, &rule, &data, &length):
        return -1
    if likely(rule.function == md5_word):  # called by its name to be compiled in
        return find(points, table, shift, (md5_word(data, length, 0) << 32) + rule.after)
    h = rule.function(data, length, 0)
    if rule.bits <= 64:
        return find(points, table, shift, (h << 64 - rule.bits) + rule.after)
    cdef uint32_t at = find(points, table, shift, h)
    if points[at] != h:
        return at
    return find_low(points, lows, count, at, h, md5_low(data, length, 0), rule)


cdef inline uint32_t find_place(
    const uint64_t* points, const uint64_t* lows, const uint32_t* table, int shift, uint32_t count, Rule rule,
    uint64_t high, uint64_t low
) noexcept:
    if rule.bits <= 64:
        return find(points, table, shift, high + rule.after)
    return find_low(points, lows, count, find(points, table, shift, high), high, low, rule)


cdef inline uint32_t find_low(
    const uint64_t* points, const uint64_t* lows, uint32_t count, uint32_t at, uint64_t high, uint64_t low, Rule rule
) noexcept nogil:
    while at < count and points[at] == high and (lows[at] < low or rule.after and lows[at] == low):
        at += 1
    return at


cdef inline int place_list(list keys, Rule rule, object key_hash, object out) except -1:
    # Keys are read first and hashed together, for MD5 of eight at a time.
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i, at = 0, size, have, count = len(out)
    cdef const uint8_t* data[256]
    cdef size_t[256] length
    cdef uint64_t[256] h
    cdef uint8_t[256] row
    while at < count:
        size = count - at if at + 256 > count else 256
        have = 0
        for i in range(size):
            if likely(readable(PyList_GET_ITEM(keys, at + i), &rule, &data[have], &length[have])):
                row[have] = <uint8_t>i
                have += 1
            else:
                to[at + i] = upper(key_hash(<object>PyList_GET_ITEM(keys, at + i)), rule.bits)
        hash_some(rule.function, data, length, have, h)
        for i in range(have):
            to[at + row[i]] = h[i] << 64 - rule.bits if rule.bits < 64 else h[i]
        at += size
    if rule.after and rule.bits <= 64:
        for i in range(count):
            to[i] += 1
    return 0


cdef inline uint64_t upper(object place, int bits) except? 7:
    return place << 64 - bits if bits < 64 else place >> bits - 64


cdef inline void hash_some(
    Hash function, const uint8_t** data, const size_t* length, Py_ssize_t count, uint64_t* h
) noexcept nogil:
    cdef Py_ssize_t i = 0
    if function == md5_word or function == md5_high:
        while i + 8 <= count:
            hash_eight(function, data + i, length + i, h + i)
            i += 8
    while i < count:
        h[i] = function(data[i], length[i], 0)
        i += 1


cdef inline void hash_eight(Hash function, const uint8_t** data, const size_t* length, uint64_t* h) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(8):
        if unlikely(length[i] > 55):  # fills more than one block
            break
    else:
        if function == md5_word:
            md5_words_of_eight(data, length, h)
        else:
            md5_highs_of_eight(data, length, h)
        return
    for i in range(8):
        h[i] = function(data[i], length[i], 0)


cdef inline list find_highs(object points, object table, int shift, object owners, object highs, object out):
    cdef const uint64_t* point = words(points)
    cdef const uint32_t* starts = indices(table)
    cdef const uint32_t* of = indices(owners)
    cdef const uint64_t* at = words(highs)
    cdef uint32_t* to = indices(out)
    cdef uint32_t found
    cdef Py_ssize_t i, count = len(out)
    cdef list ties = []
    for i in range(count):
        found = find_steady(point, starts, shift, at[i])
        to[i] = of[found]
        if unlikely(point[found] == at[i]):
            ties.append(i)
    return ties
