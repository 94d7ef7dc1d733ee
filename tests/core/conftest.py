"""Arrow data made by hand through ctypes, sound or malformed, that count how often each part is released."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ringfence._core import arrow

_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)


@dataclass
class Released:
    """How often the release callbacks were called."""

    schema: int = 0
    array: int = 0
    stream: int = 0


@dataclass
class Handmade:
    """One array; `buffers` are NumPy arrays, or None for a missing one."""

    format: bytes
    length: int
    buffers: Sequence[Any]
    null_count: int = -1
    offset: int = 0
    n_buffers: int | None = None
    dictionary: "Handmade | None" = None
    released: Released = field(default_factory=Released)
    kept: list[Any] = field(default_factory=list)

    def counting(self, part: str, kind: Any) -> int:
        def release(address: int) -> None:
            setattr(self.released, part, getattr(self.released, part) + 1)
            kind.from_address(address).release = None

        return self.address(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(release))

    def address(self, function: Any) -> int:
        self.kept.append(function)
        found = ctypes.cast(function, ctypes.c_void_p).value
        assert found is not None
        return found

    def schema(self) -> Any:
        made = arrow.Schema(format=self.format, release=self.counting("schema", arrow.Schema))
        if self.dictionary:
            self.kept.append(self.dictionary.schema())
            made.dictionary = ctypes.addressof(self.kept[-1])
        return made

    def array(self) -> Any:
        addresses = [None if buffer is None else buffer.ctypes.data for buffer in self.buffers]
        table = (ctypes.c_void_p * max(1, len(addresses)))(*addresses)
        self.kept.append(table)
        made = arrow.Array(
            length=self.length,
            null_count=self.null_count,
            offset=self.offset,
            n_buffers=len(addresses) if self.n_buffers is None else self.n_buffers,
            buffers=table,
            release=self.counting("array", arrow.Array),
        )
        if self.dictionary:
            self.kept.append(self.dictionary.array())
            made.dictionary = ctypes.addressof(self.kept[-1])
        return made

    def capsule(self, struct: Any, name: bytes) -> Any:
        self.kept += [struct, name]
        return _new(ctypes.addressof(struct), name, None)

    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]:
        return self.capsule(self.schema(), b"arrow_schema"), self.capsule(self.array(), b"arrow_array")


class Chunks:
    """A stream of handmade arrays; after the last one it ends, or fails with `failure`."""

    def __init__(self, chunks: Sequence[Handmade], failure: int = 0, schema_failure: int = 0) -> None:
        self.chunks = chunks
        self.left = list(chunks)
        self.failure, self.schema_failure = failure, schema_failure
        self.stream_released = 0
        self.reason = ctypes.create_string_buffer(b"the disk is gone")

    def get_schema(self, stream: int, out: int) -> int:
        if not self.schema_failure:
            put(self.chunks[0].schema(), out)
        return self.schema_failure

    def get_next(self, stream: int, out: int) -> int:
        if self.left:
            put(self.left.pop(0).array(), out)
            return 0
        if not self.failure:
            put(arrow.Array(), out)
        return self.failure

    def get_last_error(self, stream: int) -> int:
        found = ctypes.cast(self.reason, ctypes.c_void_p).value
        assert found is not None
        return found

    def release(self, stream: int) -> None:
        self.stream_released += 1

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        first = self.chunks[0]
        types: dict[str, Any] = dict(arrow.Stream._fields_)
        made = arrow.Stream(
            get_last_error=types["get_last_error"](self.get_last_error),
            get_schema=types["get_schema"](self.get_schema),
            get_next=types["get_next"](self.get_next),
            release=first.address(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.release)),
        )
        return first.capsule(made, b"arrow_array_stream")


def put(struct: Any, out: int) -> None:
    """Move a struct to an address."""
    ctypes.memmove(out, ctypes.addressof(struct), ctypes.sizeof(struct))


def offsets(*numbers: int, dtype: str = "i4") -> Any:
    """Return an array of offsets."""
    return np.array(numbers, dtype)


def data(text: bytes) -> Any:
    """Return a buffer of bytes."""
    return np.frombuffer(text, np.uint8)


def view(length: int, *, inline: bytes = b"", buffer: int = 0, start: int = 0) -> bytes:
    """Return one view of 16 bytes."""
    if inline or length == 0:
        return length.to_bytes(4, "little", signed=True) + inline.ljust(12, b"\0")
    words = np.array([length, 0, buffer, start], "<i4")
    return words.tobytes()
