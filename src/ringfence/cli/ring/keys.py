"""Keys from a file or from standard input, one a line, in batches of bounded size."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import BinaryIO

from ringfence.cli.ring import progress
from ringfence.errors import InvalidValue

CHUNK = 1 << 20
"""Bytes read at once at most: a batch has the lines of one chunk."""

LONGEST = 1 << 20
"""Bytes of a key at most."""

HELP = """Keys are lines of UTF-8 or of any other bytes, ended by LF or CR LF; empty lines are left out. They are read
and answered batch by batch, so a file may be larger than the memory, and a pipe is answered as it flows."""


@contextmanager
def batches(path: str, shown: bool = True) -> Iterator[Iterator[list[bytes]]]:
    """Open keys; the context iterates over them in batches, and tells a progress bar how far it is.

    Args:
        path: of the file; `-` is standard input.
        shown: whether a progress bar may be shown.

    Raises:
        InvalidValue: there is no such file, or a key is too long.
    """
    with _opened(path) as file, progress.bar(path, _total(file), shown) as advance:
        yield _split(file, advance)


def _opened(path: str) -> BinaryIO | nullcontext[BinaryIO]:
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return open(path, "rb")
    except OSError as error:
        raise InvalidValue(f"the keys {path!r} cannot be read: {error.strerror}") from None


def _total(file: BinaryIO) -> int | None:
    """Return how many bytes there are, if that is known before they are read."""
    try:
        status = os.fstat(file.fileno())
    except OSError:  # no file of the operating system
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _split(file: BinaryIO, advance: Callable[[int], None]) -> Iterator[list[bytes]]:
    rest = b""
    while chunk := _read(file):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST:
            raise InvalidValue(f"a key is longer than {LONGEST:,} bytes: it begins with {rest[:40]!r}")
        if keys := _keys(lines):
            yield keys
        advance(len(chunk))
    if keys := _keys([rest]):
        yield keys


def _read(file: BinaryIO) -> bytes:
    try:
        chunk: bytes = file.read1(CHUNK)  # type: ignore[attr-defined]  # a buffered file has it
    except OSError as error:
        raise InvalidValue(f"the keys cannot be read: {error.strerror}") from None
    return chunk


def _keys(lines: list[bytes]) -> list[bytes]:
    return [key for line in lines if (key := line.removesuffix(b"\r"))]
