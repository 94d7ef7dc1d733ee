# cython: language_level=3
"""Hash arithmetic and the hashes of keys, compiled; `_kernel_hash.py` holds the same names, documented."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ringfence._core._kernel_array cimport words


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define ringfence_little64(x) __builtin_bswap64(x)
    #define ringfence_little32(x) __builtin_bswap32(x)
    #else
    #define ringfence_little64(x) (x)
    #define ringfence_little32(x) (x)
    #endif
    static inline uint64_t ringfence_load64(const uint8_t *at) {
        uint64_t word;
        memcpy(&word, at, 8);
        return ringfence_little64(word);
    }
    static inline uint32_t ringfence_load32(const uint8_t *at) {
        uint32_t word;
        memcpy(&word, at, 4);
        return ringfence_little32(word);
    }
    /* The last `length` (1 to 8) bytes before `end`'s successor, little-endian, without reading outside. */
    static inline uint64_t ringfence_load_tail(const uint8_t *at, size_t length) {
        if (length >= 8) return ringfence_load64(at);
        if (length >= 4)
            return ringfence_load32(at) | (uint64_t)ringfence_load32(at + length - 4) << (8 * (length - 4));
        if (length == 0) return 0;
        return at[0] | (uint64_t)at[length >> 1] << (8 * (length >> 1)) | (uint64_t)at[length - 1] << (8 * (length - 1));
    }
    static inline uint64_t ringfence_rotl(uint64_t x, int by) { return x << by | x >> (64 - by); }
    static const uint64_t ringfence_m1 = 0x87c37b91114253d5ULL, ringfence_m2 = 0x4cf5ad432745937fULL;
    static const uint64_t ringfence_f1 = 0xff51afd7ed558ccdULL, ringfence_f2 = 0xc4ceb9fe1a85ec53ULL;
    static const uint64_t ringfence_s0 = 0x9e3779b97f4a7c15ULL;
    static const uint64_t ringfence_s1 = 0xbf58476d1ce4e5b9ULL, ringfence_s2 = 0x94d049bb133111ebULL;
    static const uint64_t ringfence_x1 = 0x9e3779b185ebca87ULL, ringfence_x2 = 0xc2b2ae3d27d4eb4fULL;
    static const uint64_t ringfence_x3 = 0x165667b19e3779f9ULL, ringfence_x4 = 0x85ebca77c2b2ae63ULL;
    static const uint64_t ringfence_x5 = 0x27d4eb2f165667c5ULL;
    """
    uint64_t load64 "ringfence_load64"(const uint8_t* at) noexcept nogil
    uint32_t load32 "ringfence_load32"(const uint8_t* at) noexcept nogil
    uint64_t load_tail "ringfence_load_tail"(const uint8_t* at, size_t length) noexcept nogil
    uint64_t rotl "ringfence_rotl"(uint64_t x, int by) noexcept nogil
    const uint64_t M1 "ringfence_m1", M2 "ringfence_m2", F1 "ringfence_f1", F2 "ringfence_f2"
    const uint64_t S0 "ringfence_s0", S1 "ringfence_s1", S2 "ringfence_s2"
    const uint64_t X1 "ringfence_x1", X2 "ringfence_x2", X3 "ringfence_x3", X4 "ringfence_x4", X5 "ringfence_x5"


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


# --- hashes ---------------------------------------------------------------------------------------------------


cdef inline uint64_t mix64(uint64_t x) noexcept nogil:
    x = (x ^ x >> 33) * F1
    x = (x ^ x >> 33) * F2
    return x ^ x >> 33


cdef inline uint64_t splitmix64(uint64_t state, uint64_t number) noexcept nogil:
    cdef uint64_t x = state + (number + 1) * S0
    x = (x ^ x >> 30) * S1
    x = (x ^ x >> 27) * S2
    return x ^ x >> 31


cdef inline uint64_t murmur3(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint64_t h1 = seed, h2 = seed
    cdef const uint8_t* end = data + (length & ~<size_t>15)
    cdef size_t rest = length & 15
    while data != end:
        h1 ^= rotl(load64(data) * M1, 31) * M2
        h1 = (rotl(h1, 27) + h2) * 5 + 0x52dce729
        h2 ^= rotl(load64(data + 8) * M2, 33) * M1
        h2 = (rotl(h2, 31) + h1) * 5 + 0x38495ab5
        data += 16
    if likely(rest > 8):
        h2 ^= rotl((load64(data + rest - 8) >> 8 * (16 - rest)) * M2, 33) * M1
        h1 ^= rotl(load64(data) * M1, 31) * M2
    elif rest:
        h1 ^= rotl(load_tail(data, rest) * M1, 31) * M2
    h1 ^= length
    h2 ^= length
    h1 += h2
    h2 += h1
    return mix64(h1) + mix64(h2)


cdef inline uint64_t xx_round(uint64_t lane, uint64_t word) noexcept nogil:
    return rotl(lane + word * X2, 31) * X1


cdef inline uint64_t xx_merge(uint64_t h, uint64_t lane) noexcept nogil:
    return (h ^ xx_round(0, lane)) * X1 + X4


cdef inline uint64_t xxhash64(const uint8_t* data, size_t length, uint64_t seed) noexcept nogil:
    cdef uint64_t h = seed + X5
    cdef uint64_t a = seed + X1 + X2, b = seed + X2, c = seed, d = seed - X1
    cdef size_t rest = length
    if length >= 32:
        while rest >= 32:
            a = xx_round(a, load64(data))
            b = xx_round(b, load64(data + 8))
            c = xx_round(c, load64(data + 16))
            d = xx_round(d, load64(data + 24))
            data += 32
            rest -= 32
        h = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18)
        h = xx_merge(xx_merge(xx_merge(xx_merge(h, a), b), c), d)
    h += length
    while rest >= 8:
        h = rotl(h ^ xx_round(0, load64(data)), 27) * X1 + X4
        data += 8
        rest -= 8
    if rest >= 4:
        h = rotl(h ^ load32(data) * X1, 23) * X2 + X3
        data += 4
        rest -= 4
    while rest:
        h = rotl(h ^ data[0] * X5, 11) * X1
        data += 1
        rest -= 1
    h = (h ^ h >> 33) * X2
    h = (h ^ h >> 29) * X3
    return h ^ h >> 32


# --- hashes of Python keys ------------------------------------------------------------------------------------


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


ctypedef uint64_t (*Hash)(const uint8_t*, size_t, uint64_t) noexcept nogil


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


cdef inline Hash other_hash(object kind) except? NULL:
    # The hashes of bytes by number; NULL for MurmurHash3, which is better compiled into the loop than called.
    if <int>kind == 2:
        return xxhash64
    return NULL


cdef inline uint64_t hash_data(Hash other, const uint8_t* data, size_t length) noexcept nogil:
    return murmur3(data, length, 0) if likely(other == NULL) else other(data, length, 0)


cdef inline uint64_t hash_by(object kind, object key) except? 7:
    return hash_as(kind, key, 0) if PyLong_CheckExact(kind) else hash_with(kind, key)


cdef inline uint64_t hash_as(int kind, object key, uint64_t seed) except? 7:
    if kind == 0:
        return hash_key(key)
    return murmur3_key(key, seed) if kind == 1 else hash_bytes_of(other_hash(kind), key, seed)


cdef inline int hash_list(list keys, object how, uint64_t seed, object out) except -1:
    # In slices of our own: another thread may change the list meanwhile, and a short slice stays in the cache.
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i, at = 0, size, count = len(out)
    cdef int kind = how if PyLong_CheckExact(how) else -1
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
            elif kind >= 0:
                to[at + i] = hash_as(kind, <object>key, seed)
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
