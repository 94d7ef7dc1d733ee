"""The log as its one writer has it: groups of records are put at its end, and full segments are packed."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Sequence

from ringfence.errors import StoreError
from ringfence.transactions.decisions.file import pack, segments
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.pack import Pack
from ringfence.transactions.decisions.file.segments import UNFINISHED, Segment

SEGMENT = 1 << 18
"""Bytes of a segment, unless one group of records takes more: 6,000 records, or 12,000 in groups; packed in 50 ms."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)


class Log:
    """The segments of a folder, the last of which is written.

    When a log is opened, its last segment is written anew, without an end that is torn: nobody was told of that.
    What is whole may only be in the system's cache, as the process that wrote it was killed, or a sync failed; a later
    sync would then succeed without writing it (see `poison`).

    Args:
        disk: the folder.
        found: what `segments.read_all` has found there.
        size: bytes of new segments.
        identity: of a new log, 16 hexadecimal digits; drawn at random by default.

    Attributes:
        identity: of the log.
        count: how many records are in it, on the disk.
        number: of the segment that is written.
        full: the numbers of segments that can be packed.
    """

    def __init__(
        self,
        disk: Disk,
        found: Sequence[Segment | Pack],
        size: int = SEGMENT,
        identity: str | None = None,
    ) -> None:
        self._disk = disk
        self._size = size
        self.full = [each.number for each in found if isinstance(each, Segment)][:-1]
        self._tidy()
        if found:
            self._go_on(found[-1])
        else:
            self.identity, self.count = identity or secrets.token_hex(8), 0
            self._create(1, 0)

    def append(self, records: Sequence[str]) -> None:
        """Write a group of records, and return when it is on the disk.

        Raises:
            OSError: it may be there or not, and this object is not to be used again.
            StoreError: there is no room for another segment; nothing was written, and it may be tried again.
        """
        group = segments.group(records)
        if self._end + len(group) > self._room:
            self._rotate(len(group))
        self._disk.write(self._name, group, self._end)
        self._disk.sync(self._name)
        self._end += len(group)
        self.count += len(records)

    def pack(self, number: int) -> Pack:
        """Put a pack in the place of a full segment.

        The segment goes only when its pack is on the disk, under its name. Killed at any moment, one of them is there.
        """
        segment = segments.read(self._disk, number, last=False)
        data = pack.encode(segment.identity, number, segment.start, segment.lines)
        self._put(pack.name_of(number), data)
        packed = pack.read_pack(self._disk, number)
        self._disk.remove(segments.name_of(number))
        self.full.remove(number)
        return packed

    def _tidy(self) -> None:
        """Take away what a crash has left behind: files that were not finished."""
        for name in self._disk.names():
            if name.endswith(UNFINISHED):
                self._disk.remove(name)

    def _go_on(self, last: Segment | Pack) -> None:
        assert isinstance(last, Segment)
        self.identity, self.number, self.count = last.identity, last.number, last.start + last.count
        self._name, self._end, self._room = segments.name_of(last.number), last.end, last.size
        whole = self._disk.read(self._name)[: last.end]
        self._put(self._name, whole.ljust(last.size, b"\0"))

    def _rotate(self, wanted: int) -> None:
        self._create(self.number + 1, wanted)
        self.full.append(self.number - 1)

    def _create(self, number: int, wanted: int) -> None:
        data = segments.begin(self.identity, number, self.count, self._size, wanted)
        name = segments.name_of(number)
        try:
            self._make(name, data)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise StoreError(
                f"no room for another segment in {self._disk.path!r}: {error}; nothing was recorded"
            ) from error
        self._show(name)
        self.number, self._name = number, name
        self._end, self._room = segments.head_end(data), len(data)

    def _put(self, name: str, data: bytes) -> None:
        """Put a file in place; after a crash it is there whole or not at all."""
        self._make(name, data)
        self._show(name)

    def _make(self, name: str, data: bytes) -> None:
        unfinished = name + UNFINISHED
        self._disk.remove(unfinished)
        self._disk.write(unfinished, data)
        self._disk.sync(unfinished)

    def _show(self, name: str) -> None:
        """Give a file that was made its name; whatever fails here, the name may be there or not."""
        self._disk.rename(name + UNFINISHED, name)
        self._disk.sync_names()
