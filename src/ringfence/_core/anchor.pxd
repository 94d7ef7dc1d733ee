from libc.stdint cimport uint32_t

from ringfence._core._kernel_anchor cimport anchor, anchor_many, anchor_ranked, anchor_rows, replay
from ringfence._core._kernel_array cimport indices
from ringfence._core._kernel_hash cimport hash_key
from ringfence._core._kernel_search cimport replica_count


cdef class Anchor:
    cdef tuple _names
    cdef object _left_array
    cdef object _heir_array
    cdef object _place_array
    cdef const uint32_t* _left
    cdef const uint32_t* _heirs
    cdef const uint32_t* _places
    cdef uint32_t _size
    cdef uint32_t _count
