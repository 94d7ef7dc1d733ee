from libc.stdint cimport uint32_t

from ringfence._core._kernel_hash cimport hash_key
from ringfence._core._kernel_jump cimport bucket_count, jump, jump_key, jump_many, jump_ranked, jump_rows
from ringfence._core._kernel_search cimport replica_count

cdef tuple _FEW


cdef class Jump:
    cdef tuple _names
    cdef uint32_t _count
