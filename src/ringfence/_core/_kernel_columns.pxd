# cython: language_level=3
"""Hashes of the keys of columns, compiled, without the GIL; `_kernel_columns.py` holds the same names, documented.

A kind that is no number is a Python function, which the interpreted twin calls.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from ringfence._core._kernel_array cimport address, indices, words
from ringfence._core._kernel_hash cimport Hash, hash_data, mix_many, other_hash


cdef inline Py_ssize_t hash_offsets(object offsets, object data, object kind, object out) except -2:
    if not isinstance(kind, int):
        from ringfence._core import _kernel_columns
        return _kernel_columns.hash_offsets(offsets, data, kind, out)
    cdef const void* at = address(offsets)
    cdef const uint8_t* start = <const uint8_t*>address(data)
    cdef Hash other = other_hash(kind)
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t rows = len(out), size = len(data), bad
    cdef bint wide = offsets.itemsize == 8
    with nogil:
        if wide:
            bad = hash_offsets64(<const int64_t*>at, start, size, to, rows, other)
        else:
            bad = hash_offsets32(<const int32_t*>at, start, size, to, rows, other)
    return bad


cdef inline Py_ssize_t hash_offsets32(
    const int32_t* at, const uint8_t* data, int64_t size, uint64_t* to, Py_ssize_t rows, Hash other
) noexcept nogil:
    cdef int64_t start, end = at[0]
    cdef Py_ssize_t i
    if end < 0:
        return 0
    for i in range(rows):
        start = end
        end = at[i + 1]
        if end < start or end > size:
            return i
        to[i] = hash_data(other, data + start, end - start)
    return -1


cdef inline Py_ssize_t hash_offsets64(
    const int64_t* at, const uint8_t* data, int64_t size, uint64_t* to, Py_ssize_t rows, Hash other
) noexcept nogil:
    cdef int64_t start, end = at[0]
    cdef Py_ssize_t i
    if end < 0:
        return 0
    for i in range(rows):
        start = end
        end = at[i + 1]
        if end < start or end > size:
            return i
        to[i] = hash_data(other, data + start, end - start)
    return -1


cdef struct Memory:
    const uint8_t* start
    int64_t size


cdef inline Py_ssize_t hash_views(object views, tuple buffers, object kind, object out) except -2:
    if not isinstance(kind, int):
        from ringfence._core import _kernel_columns
        return _kernel_columns.hash_views(views, buffers, kind, out)
    cdef const uint8_t* view = <const uint8_t*>address(views)
    cdef Hash other = other_hash(kind)
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i, rows = len(out), count = len(buffers), bad = -1
    cdef Memory* memory = <Memory*>malloc((count + 1) * sizeof(Memory))
    if memory == NULL:
        raise MemoryError
    try:
        for i in range(count):
            memory[i].start = <const uint8_t*>address(buffers[i])
            memory[i].size = len(buffers[i])
        with nogil:
            for i in range(rows):
                if not hash_view(view + 16 * i, memory, count, to + i, other):
                    bad = i
                    break
    finally:
        free(memory)
    return bad


cdef inline bint hash_view(
    const uint8_t* view, const Memory* memory, Py_ssize_t count, uint64_t* to, Hash other
) noexcept nogil:
    cdef int32_t[4] word  # length, four bytes of prefix, number of the buffer, place in it
    memcpy(word, view, 16)
    if word[0] < 0:
        return False
    if word[0] <= 12:
        to[0] = hash_data(other, view + 4, word[0])
        return True
    if word[2] < 0 or word[2] >= count or word[3] < 0 or <int64_t>word[3] + word[0] > memory[word[2]].size:
        return False
    to[0] = hash_data(other, memory[word[2]].start + word[3], word[0])
    return True


cdef inline Py_ssize_t hash_fixed(object items, bint padded, object kind, object out) except -2:
    if not isinstance(kind, int):
        from ringfence._core import _kernel_columns
        return _kernel_columns.hash_fixed(items, padded, kind, out)
    cdef const uint8_t* item = <const uint8_t*>address(items)
    cdef Hash other = other_hash(kind)
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i, rows = len(out), width = items.shape[1], length
    with nogil:
        for i in range(rows):
            length = width
            if padded:
                while length and item[length - 1] == 0:
                    length -= 1
            to[i] = hash_data(other, item, length)
            item += width
    return -1


cdef inline Py_ssize_t hash_utf32(object characters, object kind, object out) except -2:
    if not isinstance(kind, int):
        from ringfence._core import _kernel_columns
        return _kernel_columns.hash_utf32(characters, kind, out)
    cdef const uint32_t* item = indices(characters)
    cdef Hash other = other_hash(kind)
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i, rows = len(out), width = characters.shape[1], length, bad = -1
    cdef uint8_t* encoded = <uint8_t*>malloc(4 * width + 1)
    if encoded == NULL:
        raise MemoryError
    with nogil:
        for i in range(rows):
            length = encode(item + i * width, width, encoded)
            if length < 0:
                bad = i
                break
            to[i] = hash_data(other, encoded, length)
    free(encoded)
    return bad


cdef inline Py_ssize_t encode(const uint32_t* item, Py_ssize_t width, uint8_t* to) noexcept nogil:
    cdef Py_ssize_t i, have = 0
    cdef uint32_t c
    while width and item[width - 1] == 0:
        width -= 1
    for i in range(width):
        c = item[i]
        if c < 0x80:
            to[have] = c
            have += 1
        elif c < 0x800:
            to[have] = 0xC0 | c >> 6
            to[have + 1] = 0x80 | c & 0x3F
            have += 2
        elif c < 0x10000:
            if 0xD800 <= c < 0xE000:
                return -1
            to[have] = 0xE0 | c >> 12
            to[have + 1] = 0x80 | c >> 6 & 0x3F
            to[have + 2] = 0x80 | c & 0x3F
            have += 3
        elif c < 0x110000:
            to[have] = 0xF0 | c >> 18
            to[have + 1] = 0x80 | c >> 12 & 0x3F
            to[have + 2] = 0x80 | c >> 6 & 0x3F
            to[have + 3] = 0x80 | c & 0x3F
            have += 4
        else:
            return -1
    return have
