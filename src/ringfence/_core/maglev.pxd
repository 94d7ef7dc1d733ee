from libc.stdint cimport uint32_t, uint64_t

from ringfence._core._kernel_array cimport indices
from ringfence._core._kernel_hash cimport hash_key
from ringfence._core._kernel_maglev cimport populate, remainder, slots_many, table_rows
from ringfence._core._kernel_search cimport distinct, replica_count


cdef class Slots:
    cdef tuple _names
    cdef object _table_array
    cdef const uint32_t* _table
    cdef uint64_t _inverse
    cdef uint32_t _size
    cdef uint32_t _count
