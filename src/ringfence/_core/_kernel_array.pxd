# cython: language_level=3
"""The memory of NumPy arrays, for the compiled kernels; `_kernel_array.py` is the pure twin."""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint32_t, uint64_t


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
