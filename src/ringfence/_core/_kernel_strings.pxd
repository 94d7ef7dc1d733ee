# cython: language_level=3
"""Hashes of NumPy's StringDType, compiled, without the GIL; `_kernel_strings.py` holds the same names, documented.

NumPy's functions are taken from the table in its capsule at run time, where their places are part of its stable ABI
(`NpyString_load` and its likes in `numpy/__multiarray_api.h`), so neither its headers nor NumPy 2 are needed to build.
"""
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport uint8_t, uint64_t

from ringfence._core._kernel_array cimport address, words
from ringfence._core._kernel_hash cimport Hash, hash_data, other_hash


cdef struct Text:  # npy_static_string
    size_t size
    const uint8_t* start


ctypedef int (*Load)(void*, const void*, Text*) noexcept nogil
ctypedef void* (*Acquire)(void*) noexcept nogil
ctypedef void (*Release)(void*) noexcept nogil


cdef inline void** numpy_api() except NULL:
    from numpy._core._multiarray_umath import _ARRAY_API
    return <void**>PyCapsule_GetPointer(_ARRAY_API, NULL)


cdef inline const uint8_t* first_item(object items) except? NULL:
    return <const uint8_t*><size_t>items.__array_interface__["data"][0]


cdef inline Py_ssize_t hash_strings(object items, object kind, object out) except -2:
    if not isinstance(kind, int):
        from ringfence._core import _kernel_strings
        return _kernel_strings.hash_strings(items, kind, out)
    cdef void** api = numpy_api()
    cdef const uint8_t* item = first_item(items)
    cdef Hash other = other_hash(kind)
    cdef uint64_t* to = words(out)
    cdef Py_ssize_t i, rows = len(out), step = items.strides[0], bad = -1
    cdef object dtype = items.dtype, name = getattr(dtype, "na_object", None)
    cdef bytes missing = name.encode() if isinstance(name, str) else b""
    cdef const uint8_t* missing_start = missing
    cdef size_t missing_size = len(missing)
    cdef void* allocator
    cdef Text text
    cdef int state
    with nogil:  # also to get the allocator: its lock must not be waited for with the GIL held
        allocator = (<Acquire>api[316])(<void*>dtype)
        for i in range(rows):
            state = (<Load>api[313])(allocator, item, &text)
            if state < 0:
                bad = i
                break
            if state > 0:
                text.start, text.size = missing_start, missing_size
            to[i] = hash_data(other, text.start, text.size)
            item += step
        (<Release>api[318])(allocator)
    return bad


cdef inline int null_strings(object items, object out) except -1:
    cdef void** api = numpy_api()
    cdef const uint8_t* item = first_item(items)
    cdef uint8_t* to = <uint8_t*>address(out)
    cdef Py_ssize_t i, rows = len(out), step = items.strides[0]
    cdef object dtype = items.dtype
    cdef void* allocator
    cdef Text text
    with nogil:
        allocator = (<Acquire>api[316])(<void*>dtype)
        for i in range(rows):
            to[i] = (<Load>api[313])(allocator, item, &text) > 0
            item += step
        (<Release>api[318])(allocator)
    return 0
