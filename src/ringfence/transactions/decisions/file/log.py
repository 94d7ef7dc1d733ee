"""A log of records in segments: files of one size, filled one after another, of which only the last is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ringfence.errors import StoreDamaged, StoreError
from ringfence.transactions.decisions.file import disk
from ringfence.transactions.decisions.file.frame import check_tail, frame, scan

SEGMENT = 1 << 20
"""Bytes of a segment, unless one group of records takes more."""

_SUFFIX = ".log"
_FORMAT = "ringfence-decisions 1"


class Log:
    """The segments of a folder, and the records that were in them when it was opened.

    A segment begins with a record of its own, that says its number and how many records stand before it. A torn end of
    the last segment is dropped when the log is opened: nobody was told that it was written.

    Args:
        folder: of the segments, and nothing else that ends with `.log`.
        size: bytes of new segments.

    Attributes:
        records: those found, oldest first.

    Raises:
        StoreDamaged: a segment is missing, or not what was written.
    """

    def __init__(self, folder: Path, size: int = SEGMENT) -> None:
        self._folder = folder
        self._size = size
        self.records: list[str] = []
        self._count = 0
        numbers = self._segments()
        for number in numbers:
            data, end = self._read(number, last=number == numbers[-1])
        if not numbers:
            numbers = [1]
            data, end = self._create(1)
        self._number = numbers[-1]
        self._room, self._end = len(data), end
        self._file = os.open(self._path(self._number), os.O_RDWR)
        if any(data[end:]):
            disk.write(self._file, bytes(len(data) - end), end)
            disk.sync(self._file)

    def append(self, records: Sequence[str]) -> None:
        """Write a group of records, and return when it is on the disk.

        Raises:
            OSError: it may be there or not, and this object is not to be used again.
            StoreError: there is no room for another segment; nothing was written, and it may be tried again.
        """
        group = frame(records)
        if self._end + len(group) > self._room:
            self._rotate(len(group))
        disk.write(self._file, group, self._end)
        disk.sync(self._file)
        self._end += len(group)
        self._count += len(records)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _segments(self) -> list[int]:
        for torn in self._folder.glob("*.new"):
            torn.unlink()
        found = sorted(self._folder.glob(f"*{_SUFFIX}"))
        numbers = [int(path.stem) if path.stem.isdecimal() else 0 for path in found]
        if numbers != list(range(1, len(numbers) + 1)):
            raise StoreDamaged(
                f"the segments in '{self._folder}' are {[path.name for path in found]}; one is missing"
            )
        return numbers

    def _read(self, number: int, last: bool) -> tuple[bytes, int]:
        path = self._path(number)
        data = path.read_bytes()
        groups, end = scan(data)
        torn = check_tail(data, end, str(path))
        if torn and not last:
            raise StoreDamaged(
                f"'{path}' is damaged at byte {end}, and segments follow; restore it from a copy"
            )
        if not groups or groups[0] != [self._header(number)]:
            raise StoreDamaged(
                f"'{path}' does not begin with {self._header(number)!r}; restore it from a copy"
            )
        for group in groups[1:]:
            self.records += group
        self._count = len(self.records)
        return data, end

    def _rotate(self, wanted: int) -> None:
        number = self._number + 1
        try:
            data, end = self._create(number, wanted)
        except OSError as error:
            raise StoreError(
                f"no room for another segment in '{self._folder}': {error}; nothing was recorded"
            ) from error
        os.close(self._file)
        self._file = os.open(self._path(number), os.O_RDWR)
        self._number, self._room, self._end = number, len(data), end

    def _create(self, number: int, wanted: int = 0) -> tuple[bytes, int]:
        head = frame([self._header(number)])
        size = max(self._size, len(head) + wanted)
        disk.create(self._path(number), head, size)
        return head.ljust(size, b"\0"), len(head)

    def _header(self, number: int) -> str:
        return f"{_FORMAT} segment {number} after {self._count}"

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}{_SUFFIX}"
