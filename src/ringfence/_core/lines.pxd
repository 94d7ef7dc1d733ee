cdef class Place:
    cdef public double ttl
    cdef public object waiter
    cdef public object granted
    cdef public double since
    cdef public double until
    cpdef wake(self)


cdef class Lines:
    cdef public int fences
    cdef object _table
    cdef object _clock
    cdef object _waiter
    cdef object _rules
    cdef readonly dict _lines
    cdef bint _closed
    cdef object _lock
    cdef _check_open(self)
    cdef double _join(self, object line, Place place) except? -2
    cdef bint _may_hand_on(self, object line, object claim, object deadline) except -1
    cdef _give(self, Place place, object granted, object since, object deadline)
    cdef _remove(self, object name, object line, Place place)
    cdef _call_up(self, Place place)
    cdef _skip_dead(self, object line)
    cdef double _end(self, Place front) except? -2
