# cython: language_level=3
"""Memory for the arrays of rings, compiled; `_kernel_spares.py` holds the same name, documented.

To a new ring the kernel would give fresh pages, and a fault for each costs several times what filling them does: adding
a node to 1000 x 160 points takes 0.15 ms in pages of a dead ring, and 0.4 to 2 ms in fresh ones.
"""
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New


cdef extern from *:
    """
    #define RINGFENCE_SPARES 4  /* a ring has three arrays */
    #define RINGFENCE_HEAD 64   /* holds the size, and keeps cache lines whole */

    static void *ringfence_spares[RINGFENCE_SPARES];

    /* Whoever has exchanged a pointer out of its place owns it: no lock, with the GIL or without. */
    static void ringfence_give(void *memory) {
        for (int i = 0; i < RINGFENCE_SPARES && memory; i++)
            memory = __atomic_exchange_n(&ringfence_spares[i], memory, __ATOMIC_ACQ_REL);
        PyMem_RawFree(memory);
    }
    static void *ringfence_take(size_t size) {
        for (int i = 0; i < RINGFENCE_SPARES; i++) {
            size_t *memory = (size_t *)__atomic_exchange_n(&ringfence_spares[i], NULL, __ATOMIC_ACQ_REL);
            if (memory && *memory >= size && *memory <= size + size / 4) return memory;
            if (memory) PyMem_RawFree(__atomic_exchange_n(&ringfence_spares[i], memory, __ATOMIC_ACQ_REL));
        }
        size_t *memory = (size_t *)PyMem_RawMalloc(size + size / 16 + RINGFENCE_HEAD);
        if (memory) *memory = size + size / 16;
        return memory;
    }
    """
    const size_t HEAD "RINGFENCE_HEAD"
    void give "ringfence_give"(void* memory) noexcept
    void* take "ringfence_take"(size_t size) noexcept


cdef inline void give_back(object capsule) noexcept:
    give(PyCapsule_GetPointer(capsule, NULL))


cdef inline object room(Py_ssize_t count, object dtype):
    from numpy import asarray, dtype as described, empty
    from ringfence._core._spares import LEAST, MOST, Memory
    cdef size_t size = count * described(dtype).itemsize
    if not LEAST <= size <= MOST:
        return empty(count, dtype)
    cdef void* memory = take(size)
    if memory == NULL:
        raise MemoryError
    return asarray(Memory(PyCapsule_New(memory, NULL, &give_back), <size_t>memory + HEAD, count, dtype))
