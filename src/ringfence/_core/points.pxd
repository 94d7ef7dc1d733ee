from libc.stdint cimport uint32_t, uint64_t

from ringfence._core._kernel_array cimport indices, words
from ringfence._core._kernel_hash cimport hash_by, hash_key, murmur3_key
from ringfence._core._kernel_layout cimport (
    drop_points, fill_points, fill_table, merge_points, shift_table, sort_points,
)
from ringfence._core._kernel_spares cimport room
from ringfence._core._kernel_rows cimport ring_rows
from ringfence._core._kernel_search cimport distinct as distinct_owners, find, find_many, replica_count


cdef class Points:
    cdef tuple _names
    cdef object _point_array
    cdef object _owner_array
    cdef object _table_array
    cdef const uint64_t* _points
    cdef const uint32_t* _owners
    cdef const uint32_t* _table
    cdef int _shift
    cdef uint32_t _count
    cdef object _kind
    cdef bint _usual
    cdef uint32_t _start(self, object key) except? 0xFFFF_FFFF
