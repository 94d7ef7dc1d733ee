"""Read Arrow data as columns through the Arrow PyCapsule interface, copying nothing but the masks of nulls.

`__arrow_c_array__` gives one array, `__arrow_c_stream__` a stream of chunks (Arrow C data interface, C stream interface
and PyCapsule interface of the Arrow specification). What a capsule holds is released by the capsule; a chunk of a
stream is ours, and released when the next one is asked for.

The C data interface does not say how long most buffers are: that they are as long as the length of the array and the
last offset say is the producer's word. Everything else is checked.
"""

from __future__ import annotations

import ctypes
from collections.abc import Generator, Iterable
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ringfence._core._layouts import Column, Dictionary, Fixed, Integers, Layout, Offsets, Views
from ringfence.errors import InvalidType, InvalidValue

_INTEGERS = {"c": "i1", "C": "u1", "s": "i2", "S": "u2", "i": "i4", "I": "u4", "l": "i8", "L": "u8"}
_OFFSETS = {"u": "i4", "z": "i4", "U": "i8", "Z": "i8"}
_MOST_BYTES = 1 << 47  # more than there are addresses


class ArrowArray(Protocol):
    """Gives one array through the Arrow PyCapsule interface."""

    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]:
        """Return capsules of the schema and the array."""


class ArrowStream(Protocol):
    """Gives chunks through the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return a capsule of the stream."""


Keys: TypeAlias = Iterable[str | bytes | int] | ArrowArray | ArrowStream
"""A batch of keys."""


class Schema(ctypes.Structure):
    """`struct ArrowSchema`."""

    _fields_ = (
        ("format", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("metadata", ctypes.c_void_p),
        ("flags", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


class Array(ctypes.Structure):
    """`struct ArrowArray`."""

    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


_Get = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_LastError = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Stream(ctypes.Structure):
    """`struct ArrowArrayStream`."""

    _fields_ = (
        ("get_schema", _Get),
        ("get_next", _Get),
        ("get_last_error", _LastError),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
_memory = ctypes.pythonapi.PyMemoryView_FromMemory
_memory.restype, _memory.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
_READ = 0x100  # PyBUF_READ


def is_column(keys: Any) -> bool:
    """Tell whether an object gives its data through the Arrow PyCapsule interface."""
    return hasattr(keys, "__arrow_c_array__") or hasattr(keys, "__arrow_c_stream__")


def columns_of(keys: Any) -> Generator[Column]:
    """Yield the chunks of Arrow data; each is readable until the next is asked for or the iterator closed."""
    if not hasattr(keys, "__arrow_c_array__"):
        yield from _chunks(keys)
        return
    schema, array = keys.__arrow_c_array__()
    yield _column(_held(schema, b"arrow_schema", Schema), _held(array, b"arrow_array", Array))


def _chunks(keys: Any) -> Generator[Column]:
    capsule = keys.__arrow_c_stream__()
    stream = _held(capsule, b"arrow_array_stream", Stream)
    schema = Schema()
    _ask(stream, stream.get_schema, schema)
    try:
        yield from _arrays(stream, schema)
    finally:
        _release(schema)


def _arrays(stream: Stream, schema: Schema) -> Generator[Column]:
    while True:
        array = Array()
        _ask(stream, stream.get_next, array)
        if not array.release:  # the end
            return
        try:
            yield _column(schema, array)
        finally:
            _release(array)


def _held(capsule: Any, name: bytes, kind: Any) -> Any:
    try:
        found = kind.from_address(_pointer(capsule, name))
    except ValueError:
        raise InvalidType(
            f"the object of keys gave no Arrow capsule {name.decode()}, but {capsule!r}"
        ) from None
    return _unreleased(found)


def _unreleased(found: Any) -> Any:
    if not found.release:
        raise InvalidValue(
            "the Arrow data of the keys were released already; ask their library for them anew"
        )
    return found


def _ask(stream: Stream, function: Any, found: ctypes.Structure) -> None:
    if not function:
        raise InvalidValue("the Arrow stream of the keys is malformed: one of its functions is missing")
    code = function(ctypes.addressof(stream), ctypes.addressof(found))
    if code:
        reason = stream.get_last_error and stream.get_last_error(ctypes.addressof(stream))
        text = ctypes.string_at(reason) if reason else b"no reason given"
        raise InvalidValue(f"the Arrow stream of the keys failed ({code}): {text.decode(errors='replace')}")


def _release(struct: Schema | Array) -> None:
    if struct.release:
        _Release(struct.release)(ctypes.addressof(struct))


def _column(schema: Schema, array: Array) -> Column:
    rows, first = array.length, array.offset
    if not (0 <= rows < _MOST_BYTES and 0 <= first < _MOST_BYTES):
        raise InvalidValue(f"an Arrow column cannot have length {rows} and offset {first}")
    kind = (schema.format or b"").decode(errors="replace")
    nulls = np.ones(rows, np.bool_) if kind == "n" else _nulls(array)
    if schema.dictionary:
        return _dictionary(schema, array, kind, nulls)
    return Column(rows, _layout(array, kind, nulls), nulls)


def _layout(array: Array, kind: str, nulls: NDArray[np.bool_] | None) -> Layout:
    if kind in _OFFSETS:
        return _offsets(array, _OFFSETS[kind], kind in ("u", "U"))
    if kind in ("vu", "vz"):
        return _views(array, nulls, kind == "vu")
    if kind in _INTEGERS:
        numbers = _rows(array, _INTEGERS[kind])
        return Integers(numbers if nulls is None else np.where(nulls, 0, numbers))
    if kind == "n":
        return Integers(np.zeros(array.length, np.uint8))
    if kind.startswith("w:") and kind[2:].isdecimal():
        width = int(kind[2:])
        return Fixed(_rows(array, "u1", width).reshape(array.length, width), padded=False)
    if kind == "+s":
        raise InvalidType("keys must be a single Arrow column, not a table; choose one of its columns")
    raise InvalidType(
        f"keys must be an Arrow column of integers, text or bytes, not of Arrow format {kind!r}"
    )


def _offsets(array: Array, dtype: str, text: bool) -> Offsets:
    _expect(array, 3)
    if array.length == 0:
        return Offsets(np.zeros(1, dtype), np.empty(0, np.uint8), text)
    offsets = _buffer(array, 1, dtype, array.offset + array.length + 1)[array.offset :]
    size = int(offsets[-1])
    if size < 0:
        raise InvalidValue(f"an Arrow column cannot end at offset {size}: its offsets are malformed")
    return Offsets(offsets, _buffer(array, 2, "u1", size), text)


def _views(array: Array, nulls: NDArray[np.bool_] | None, text: bool) -> Views:
    _expect(array, 3)
    views = _rows(array, "u1", 16)
    if nulls is not None:  # whose views hold anything
        views = views.copy()
        views.reshape(-1, 16)[nulls] = 0
    last = array.n_buffers - 1
    sizes = _buffer(array, last, "i8", last - 2).tolist()
    return Views(views, tuple(_buffer(array, 2 + i, "u1", size) for i, size in enumerate(sizes)), text)


def _dictionary(schema: Schema, array: Array, kind: str, nulls: NDArray[np.bool_] | None) -> Column:
    if kind not in _INTEGERS or not array.dictionary:
        raise InvalidValue(f"an Arrow dictionary needs indices and values, not format {kind!r}")
    found = _unreleased(Array.from_address(array.dictionary))
    values = _column(Schema.from_address(schema.dictionary), found)
    indices = _rows(array, _INTEGERS[kind])
    if nulls is not None:
        indices = np.where(nulls, 0, indices)
    outside = (indices < 0) | (indices >= values.rows)
    if nulls is not None:
        outside &= ~nulls
    if outside.any():
        row = int(outside.argmax())
        raise InvalidValue(
            f"row {row} is number {indices[row]} of an Arrow dictionary of {values.rows} values"
        )
    if values.nulls is not None and values.rows:
        nulls = values.nulls[indices] if nulls is None else nulls | values.nulls[indices]
    return Column(array.length, Dictionary(indices, values), nulls)


def _nulls(array: Array) -> NDArray[np.bool_] | None:
    if array.null_count == 0 or array.n_buffers < 1 or not array.buffers or not array.buffers[0]:
        return None
    if not -1 <= array.null_count <= array.length:
        raise InvalidValue(f"an Arrow column of length {array.length} cannot have {array.null_count} nulls")
    first, end = array.offset, array.offset + array.length
    bits = np.unpackbits(_buffer(array, 0, "u1", (end + 7) // 8)[first // 8 :], bitorder="little")
    nulls: NDArray[np.bool_] = bits[first % 8 : first % 8 + array.length] == 0
    return nulls if nulls.any() else None


def _rows(array: Array, dtype: str, width: int = 1) -> NDArray[Any]:
    """Return buffer 1, `width` items to a row, from the first row on."""
    _expect(array, 2)
    return _buffer(array, 1, dtype, (array.offset + array.length) * width)[array.offset * width :]


def _expect(array: Array, buffers: int) -> None:
    if array.n_buffers < buffers or not array.buffers:
        raise InvalidValue(
            f"an Arrow column of its type has {buffers} buffers or more, not {array.n_buffers}"
        )


def _buffer(array: Array, number: int, dtype: str, count: int) -> NDArray[Any]:
    size = count * int(dtype[1])
    if not 0 <= size < _MOST_BYTES:
        raise InvalidValue(f"buffer {number} of an Arrow column cannot have {size} bytes")
    if size == 0:
        return np.empty(0, dtype)
    if not array.buffers[number]:
        raise InvalidValue(f"buffer {number} of an Arrow column is missing, but should have {size} bytes")
    found: NDArray[Any] = np.frombuffer(_memory(array.buffers[number], size, _READ), dtype)
    return found if found.flags.aligned else found.copy()
