# cython: language_level=3
"""The leaf kernels, compiled: hash arithmetic, ring search and the building of sorted points.

`_kernel.py` holds the same names with the same results for the pure twin; both are documented there.
"""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset


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
    #ifndef CYTHON_UNUSED
    #define CYTHON_UNUSED
    #endif
    #if defined(__GNUC__)
    #define ringfence_prefetch(at) __builtin_prefetch(at)
    #else
    #define ringfence_prefetch(at)
    #endif
    """
    uint64_t load64 "ringfence_load64"(const uint8_t* at) noexcept nogil
    uint32_t load32 "ringfence_load32"(const uint8_t* at) noexcept nogil
    uint64_t load_tail "ringfence_load_tail"(const uint8_t* at, size_t length) noexcept nogil
    uint64_t rotl "ringfence_rotl"(uint64_t x, int by) noexcept nogil
    void prefetch "ringfence_prefetch"(const void* at) noexcept nogil
    const uint64_t M1 "ringfence_m1", M2 "ringfence_m2", F1 "ringfence_f1", F2 "ringfence_f2"
    const uint64_t S0 "ringfence_s0", S1 "ringfence_s1", S2 "ringfence_s2"
    const uint64_t X1 "ringfence_x1", X2 "ringfence_x2", X3 "ringfence_x3", X4 "ringfence_x4", X5 "ringfence_x5"


cdef extern from "Python.h":
    bint PyUnicode_Check(object value)
    bint PyUnicode_CheckExact(object value)
    bint PyBytes_Check(object value)
    bint PyBytes_CheckExact(object value)
    bint PyLong_CheckExact(object value)
    bint PyUnicode_IS_COMPACT_ASCII(object value)
    void* PyUnicode_DATA(object value)
    Py_ssize_t PyUnicode_GET_LENGTH(object value)
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
    if rest > 8:
        h2 ^= rotl(load_tail(data + 8, rest - 8) * M2, 33) * M1
    if rest:
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
    if PyUnicode_IS_COMPACT_ASCII(key):
        length[0] = PyUnicode_GET_LENGTH(key)
        return <const uint8_t*>PyUnicode_DATA(key)
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
    cdef Py_ssize_t length
    cdef const uint8_t* data
    if PyUnicode_Check(key):
        data = utf8(key, &length)
        return murmur3(data, length, 0)
    if PyBytes_Check(key):
        return murmur3(<const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), 0)
    return mix64(uint64_key(key))


ctypedef uint64_t (*Hash)(const uint8_t*, size_t, uint64_t) noexcept nogil


cdef inline uint64_t hash_bytes_of(Hash function, object key, uint64_t seed) except? 7:
    cdef Py_ssize_t length
    cdef const uint8_t* data
    cdef uint8_t[8] little
    cdef uint64_t number
    if PyUnicode_Check(key):
        data = utf8(key, &length)
        return function(data, length, seed)
    if PyBytes_Check(key):
        return function(<const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), seed)
    number = uint64_key(key)
    for length in range(8):
        little[length] = number >> (8 * length) & 0xFF
    return function(little, 8, seed)


cdef inline uint64_t murmur3_key(object key, uint64_t seed) except? 7:
    return hash_bytes_of(murmur3, key, seed)


cdef inline uint64_t xxh64_key(object key, uint64_t seed) except? 7:
    return hash_bytes_of(xxhash64, key, seed)


# --- arrays ---------------------------------------------------------------------------------------------------


cdef inline void* address(object array) except NULL:
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    cdef void* start = view.buf
    PyBuffer_Release(&view)  # the caller keeps the array, which is never resized
    return start


cdef inline uint64_t* words(object array) except NULL:
    return <uint64_t*>address(array)


cdef inline uint32_t* indices(object array) except NULL:
    return <uint32_t*>address(array)


@cython.boundscheck(True)
cdef inline int hash_keys(list keys, object out) except -1:
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i
    for i in range(len(out)):
        to[i] = hash_key(keys[i])
    return 0


@cython.boundscheck(True)
cdef inline int hash_many(list keys, bint xx, uint64_t seed, object out) except -1:
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i
    for i in range(len(out)):
        to[i] = hash_bytes_of(xxhash64 if xx else murmur3, keys[i], seed)
    return 0


cdef inline int mix_many(object numbers, object out) except -1:
    cdef const uint64_t* at = words(numbers)
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i, count = len(out)
    with nogil:
        for i in range(count):
            to[i] = mix64(at[i])
    return 0


# --- ring search ----------------------------------------------------------------------------------------------


cdef inline uint32_t bounded(const uint64_t* points, uint32_t low, uint32_t high, uint64_t h) noexcept nogil:
    cdef uint32_t half, size = high - low
    while size > 1:
        half = size >> 1
        low += half * (points[low + half - 1] < h)
        size -= half
    return low + (size == 1 and points[low] < h)


cdef inline uint32_t find(const uint64_t* points, const uint32_t* table, int shift, uint64_t h) noexcept nogil:
    cdef uint64_t bucket = h >> shift
    cdef uint32_t low = table[bucket]
    # Counting four instead of stopping at the first leaves no branch to mispredict.
    cdef uint32_t below = (
        <uint32_t>(points[low] < h) + (points[low + 1] < h) + (points[low + 2] < h) + (points[low + 3] < h)
    )
    if below == 4:
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
            to[i] = of[find(point, starts, shift, at[i])]
    return 0


cdef inline tuple distinct(const uint32_t* owners, uint32_t count, uint32_t start, tuple names, Py_ssize_t wanted):
    cdef tuple found = PyTuple_New(wanted)
    cdef uint32_t owner
    cdef Py_ssize_t have = 0
    cdef uint8_t[256] few
    cdef uint8_t* seen = few
    cdef size_t room = len(names)
    if room > 256:
        seen = <uint8_t*>malloc(room)
        if seen == NULL:
            raise MemoryError
    memset(seen, 0, room)
    while have < wanted:
        owner = owners[start]
        if not seen[owner]:
            seen[owner] = 1
            name = <object>PyTuple_GET_ITEM(names, owner)
            Py_INCREF(name)
            PyTuple_SET_ITEM(found, have, name)
            have += 1
        start += 1
        if start >= count:
            start = 0
    if seen != few:
        free(seen)
    return found


# --- building -------------------------------------------------------------------------------------------------


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
