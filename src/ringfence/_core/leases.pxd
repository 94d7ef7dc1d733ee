cdef class LeaseTable:
    cdef dict _entries
    cdef readonly list _heap
    cdef long long _serial
    cdef object _lock
    cdef _schedule(self, object lease, object deadline, object renew_at)
    cdef _next_due(self)
    cdef _compact(self)
    cdef bint _is_current(self, tuple entry) except -1
