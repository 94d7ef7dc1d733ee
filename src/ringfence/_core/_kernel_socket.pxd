# cython: language_level=3
"""Bytes over a socket, compiled; `_kernel_socket.py` holds the same names, documented."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EBADF, EINTR, errno

cdef extern from *:
    """
    #include <sys/socket.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #define RINGFENCE_CHUNK 16384
    """
    enum: MSG_NOSIGNAL
    enum: RINGFENCE_CHUNK
    ssize_t c_send "send"(int, const void*, size_t, int) nogil
    ssize_t c_recv "recv"(int, void*, size_t, int) nogil


cdef inline int send_all(object sock, int file, bytes data) except -1:
    cdef const char* at = PyBytes_AS_STRING(data)
    cdef ssize_t left = PyBytes_GET_SIZE(data)
    cdef ssize_t sent
    if file < 0:
        sock.sendall(data)
        return 0
    while left > 0:
        with nogil:
            sent = c_send(file, at, left, MSG_NOSIGNAL)
        if sent < 0:
            fail_unless_interrupted()
        else:
            at += sent
            left -= sent
    return 0


cdef inline object receive(object sock, int file):
    cdef char[RINGFENCE_CHUNK] buffer
    cdef ssize_t got
    if file < 0:
        return sock.recv(RINGFENCE_CHUNK)
    while True:
        with nogil:
            got = c_recv(file, buffer, RINGFENCE_CHUNK, 0)
        if got >= 0:
            return PyBytes_FromStringAndSize(buffer, got)
        fail_unless_interrupted()


cdef inline int fail_unless_interrupted() except -1:
    """Raise what `errno` says; after a signal, what its handler raises, if anything."""
    if errno != EINTR:
        PyErr_SetFromErrno(OSError)
    PyErr_CheckSignals()
    return 0


cdef inline object integer(bytes data):
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef ssize_t end = PyBytes_GET_SIZE(data) - 2
    cdef bint negative = text[1] == c"-"
    cdef ssize_t at = 2 if negative else 1
    cdef long long value = 0
    if text[0] != c":" or end <= at or end > 19 or text[end] != c"\r" or text[end + 1] != c"\n":
        return None
    while at < end:
        if not c"0" <= text[at] <= c"9":
            return None
        value = 10 * value + (text[at] - c"0")
        at += 1
    return -value if negative else value
