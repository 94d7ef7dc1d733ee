from ringfence._core._kernel_socket cimport integer, receive, send_all


cdef class Slot:
    cdef public object value
    cdef public double until
    cdef object _bell
    cpdef settle(self, object value)
    cpdef ring(self)


cdef class Exchange:
    cdef public object lost
    cdef public object _socket
    cdef public int _file
    cdef public object _unanswered
    cdef public dict _following
    cdef public object _replies
    cdef public object _sending
    cdef public object _reading
    cpdef _send(self, bytes request, object slots)
    cpdef _read(self)
    cpdef _answered(self, object value)
