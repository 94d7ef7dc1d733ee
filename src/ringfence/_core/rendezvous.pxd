from libc.stdint cimport uint32_t, uint64_t

from ringfence._core._kernel_array cimport words
from ringfence._core._kernel_hash cimport hash_key
from ringfence._core._kernel_scores cimport highest, highest_many, scores_ranked, scores_rows, weights_of
from ringfence._core._kernel_search cimport replica_count


cdef class Scores:
    cdef tuple _names
    cdef object _seed_array
    cdef object _weight_array
    cdef const uint64_t* _seeds
    cdef const double* _weights
    cdef uint32_t _count
