from libc.stdint cimport uint32_t, uint64_t

from ringfence._core._kernel_array cimport indices, words
from ringfence._core._kernel_hash cimport hash_key
from ringfence._core._kernel_probes cimport nearest, nearest_many, probes_ranked, probes_rows
from ringfence._core._kernel_search cimport replica_count


cdef class Probes:
    cdef tuple _names
    cdef object _point_array
    cdef object _owner_array
    cdef object _table_array
    cdef const uint64_t* _points
    cdef const uint32_t* _owners
    cdef const uint32_t* _table
    cdef int _shift
    cdef uint32_t _count
    cdef uint32_t _probes
