# cython: language_level=3
"""Hashes of keys, compiled; `_kernel_hash.py` holds the same names, documented."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ringfence._core._kernel_array cimport words
from ringfence._core._kernel_digests cimport Hash, hash_of
from ringfence._core._kernel_murmur cimport mix64, murmur3
from ringfence._core._kernel_xxhash cimport xxhash64


cdef extern from *:
    """
    static const uint64_t ringfence_s0 = 0x9e3779b97f4a7c15ULL;
    static const uint64_t ringfence_s1 = 0xbf58476d1ce4e5b9ULL, ringfence_s2 = 0x94d049bb133111ebULL;
    """
    const uint64_t S0 "ringfence_s0", S1 "ringfence_s1", S2 "ringfence_s2"


cdef extern from *:
    bint likely(bint condition) noexcept nogil


cdef extern from "Python.h":
    list PyList_GetSlice(list items, Py_ssize_t low, Py_ssize_t high)
    Py_ssize_t PyList_GET_SIZE(list items)
    PyObject* PyList_GET_ITEM(list items, Py_ssize_t i)
    bint PyUnicode_Check(object value)
    bint PyUnicode_CheckExact(PyObject* value)
    bint PyBytes_Check(object value)
    bint PyLong_CheckExact(object value)
    bint PyUnicode_IS_COMPACT_ASCII(PyObject* value)
    void* PyUnicode_DATA(PyObject* value)
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject* value)
    const char* PyUnicode_AsUTF8AndSize(object value, Py_ssize_t* size) except NULL
    uint64_t PyLong_AsUnsignedLongLong(object value) except? 0xFFFF_FFFF_FFFF_FFFF


cdef inline uint64_t splitmix64(uint64_t state, uint64_t number) noexcept nogil:
    cdef uint64_t x = state + (number + 1) * S0
    x = (x ^ x >> 30) * S1
    x = (x ^ x >> 27) * S2
    return x ^ x >> 31


cdef inline const uint8_t* utf8(object key, Py_ssize_t* length) except NULL:
    if PyUnicode_IS_COMPACT_ASCII(<PyObject*>key):
        length[0] = PyUnicode_GET_LENGTH(<PyObject*>key)
        return <const uint8_t*>PyUnicode_DATA(<PyObject*>key)
    try:
        return <const uint8_t*>PyUnicode_AsUTF8AndSize(key, length)
    except UnicodeEncodeError:
        from ringfence._core._checks import refuse_surrogates
        refuse_surrogates(key)


cdef inline uint64_t uint64_key(object key) except? 7:
    if PyLong_CheckExact(key):
        try:
            return PyLong_AsUnsignedLongLong(key)
        except OverflowError:
            pass
    from ringfence._core._checks import uint64
    return PyLong_AsUnsignedLongLong(uint64(key, "key"))


cdef inline uint64_t hash_key(object key) except? 7:
    if likely(is_ascii(<PyObject*>key)):
        return murmur3_ascii(<PyObject*>key)
    return hash_rarer_key(key)


cdef inline bint is_ascii(PyObject* key) noexcept:
    return PyUnicode_CheckExact(key) and PyUnicode_IS_COMPACT_ASCII(key)


cdef inline uint64_t murmur3_ascii(PyObject* key) noexcept:
    return murmur3(<const uint8_t*>PyUnicode_DATA(key), PyUnicode_GET_LENGTH(key), 0)


cdef inline uint64_t hash_rarer_key(object key) except? 7:
    cdef Py_ssize_t length
    cdef const uint8_t* data
    if PyBytes_Check(key):
        return murmur3(<const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), 0)
    if PyUnicode_Check(key):
        data = utf8(key, &length)
        return murmur3(data, length, 0)
    return mix64(uint64_key(key))


cdef inline const uint8_t* key_data(object key, uint8_t* little, Py_ssize_t* length) except NULL:
    cdef uint64_t number
    cdef int i
    if PyUnicode_Check(key):
        return utf8(key, length)
    if PyBytes_Check(key):
        length[0] = PyBytes_GET_SIZE(key)
        return <const uint8_t*>PyBytes_AS_STRING(key)
    number = uint64_key(key)
    for i in range(8):
        little[i] = number >> (8 * i) & 0xFF
    length[0] = 8
    return little


cdef inline uint64_t hash_bytes_of(Hash function, object key, uint64_t seed) except? 7:
    cdef uint8_t[8] little
    cdef Py_ssize_t length
    cdef const uint8_t* data = key_data(key, little, &length)
    return function(data, length, seed)


cdef inline uint64_t hash_with(object function, object key) except? 7:
    cdef uint8_t[8] little
    cdef Py_ssize_t length
    cdef const uint8_t* data
    cdef object found
    if not PyBytes_CheckExact(key):
        data = key_data(key, little, &length)
        key = PyBytes_FromStringAndSize(<const char*>data, length)
    found = function(key)
    if PyLong_CheckExact(found):
        try:
            return PyLong_AsUnsignedLongLong(found)
        except OverflowError:
            pass
    from ringfence._core._checks import hash_result
    return PyLong_AsUnsignedLongLong(hash_result(found, function, key))


cdef inline uint64_t murmur3_key(object key, uint64_t seed) except? 7:
    return hash_bytes_of(murmur3, key, seed)


cdef inline uint64_t xxh64_key(object key, uint64_t seed) except? 7:
    return hash_bytes_of(xxhash64, key, seed)


cdef inline Hash other_hash(int kind) noexcept:
    # NULL for MurmurHash3, which is better compiled into the loop than called.
    return hash_of(kind) if kind > 1 else NULL


cdef inline uint64_t hash_data(Hash other, const uint8_t* data, size_t length) noexcept nogil:
    return murmur3(data, length, 0) if likely(other == NULL) else other(data, length, 0)


cdef inline uint64_t hash_by(object kind, object key) except? 7:
    return hash_as(kind, key, 0) if PyLong_CheckExact(kind) else hash_with(kind, key)


cdef inline uint64_t hash_as(int kind, object key, uint64_t seed) except? 7:
    if kind == 0:
        return hash_key(key)
    return hash_bytes_of(hash_of(kind), key, seed)


cdef inline int hash_list(list keys, object how, uint64_t seed, object out) except -1:
    # In slices of our own: another thread may change the list meanwhile, and a short slice stays in the cache.
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i, at = 0, size, count = len(out)
    cdef int kind = how if PyLong_CheckExact(how) else -1
    cdef Hash function = hash_of(kind)
    cdef list some
    cdef PyObject* key
    while at < count:
        some = PyList_GetSlice(keys, at, at + 256 if at + 256 < count else count)
        size = PyList_GET_SIZE(some)
        if size == 0:
            from ringfence._core._checks import refuse_shrunk
            refuse_shrunk(count, at)
        for i in range(size):
            key = PyList_GET_ITEM(some, i)
            if kind == 0 and is_ascii(key):  # the common key, without counting references
                to[at + i] = murmur3_ascii(key)
            elif kind == 0:
                to[at + i] = hash_key(<object>key)
            elif kind > 0:
                to[at + i] = hash_bytes_of(function, <object>key, seed)
            else:
                to[at + i] = hash_with(how, <object>key)
        at += size
    return 0


cdef inline int mix_many(object numbers, object out) except -1:
    cdef const uint64_t* at = words(numbers)
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i, count = len(out)
    with nogil:
        for i in range(count):
            to[i] = mix64(at[i])
    return 0
