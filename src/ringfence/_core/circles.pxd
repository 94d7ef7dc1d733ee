from libc.stdint cimport int64_t, uint32_t, uint64_t

from ringfence._core._kernel_array cimport indices, words
from ringfence._core._kernel_circles cimport Rule, find_highs, find_key, find_place, place_list, rule_of
from ringfence._core._kernel_rows cimport ring_rows
from ringfence._core._kernel_search cimport distinct as distinct_owners, find_many, replica_count
from ringfence._core._kernel_tokens cimport plan_of, same, spread


cdef class Circle:
    cdef tuple _names
    cdef object _point_array
    cdef object _low_array
    cdef object _owner_array
    cdef object _table_array
    cdef object _key_hash
    cdef object _digest
    cdef list _of_types
    cdef const uint64_t* _points
    cdef const uint64_t* _lows
    cdef const uint32_t* _owners
    cdef const uint32_t* _table
    cdef int _shift
    cdef int _bits
    cdef uint32_t _count
    cdef uint32_t _with_points
    cdef Rule _rule
    cdef uint32_t _start(self, object key) except? 0xFFFF_FFFF


cdef class Tokens(Circle):
    cdef object _centre_array
    cdef object _rack_array
    cdef const uint32_t* _centres
    cdef const uint32_t* _racks
    cdef Py_ssize_t _centre_count
    cdef list _planned
    cdef dict _found
