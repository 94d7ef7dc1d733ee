"""Segments: the files of a decision log, filled one after another, of which only the last is written.

`00000001.log` is a file of one size that begins with a frame of its own: which log it is of, its number, how many
records stand before it, and its size. Each further frame is a group of records, a line each. `00000001.pack` takes the
place of one that is full; see `pack`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ringfence.errors import StoreDamaged
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.frame import check_tail, damaged, frame, scan
from ringfence.transactions.decisions.file.pack import FORMAT, Pack, read_pack
from ringfence.transactions.merkle.tree import Place

UNFINISHED = ".new"
"""What the name of a file ends with until all of it is on the disk."""

_HEAD_ROOM = 256
_NAME = re.compile(r"([0-9]{8})\.(log|pack)")
_HEAD = re.compile(rf"{FORMAT} log ([0-9a-f]{{16}}) segment ([0-9]+) after ([0-9]+) size ([0-9]+)")


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as it was read.

    Attributes:
        identity: of the log, 16 hexadecimal digits.
        number: 1 for the first.
        start: how many records stand before it.
        size: bytes of the file.
        lines: its records.
        end: bytes up to the end of the last whole frame.
        nodes: subtrees of the Merkle tree that are known without its records: none.
    """

    identity: str
    number: int
    start: int
    size: int
    lines: list[str]
    end: int
    nodes: Mapping[Place, bytes] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many records it has."""
        return len(self.lines)

    def records(self) -> list[str]:
        """Its records, oldest first."""
        return self.lines


def name_of(number: int) -> str:
    """The name of a segment's file."""
    return f"{number:08}.log"


def begin(identity: str, number: int, start: int, size: int, wanted: int) -> bytes:
    """Return a new segment, zeros to its end.

    Args:
        identity: of the log.
        number: of the segment.
        start: how many records stand before it.
        size: bytes of the file, unless more are needed for
        wanted: bytes of the first group.
    """
    room = max(size, _HEAD_ROOM + wanted)
    room += -room % 8
    return frame(f"{FORMAT} log {identity} segment {number} after {start} size {room}".encode()).ljust(
        room, b"\0"
    )


def head_end(data: bytes) -> int:
    """Where the first frame of a new segment ends."""
    return scan(data)[1]


def group(records: Sequence[str]) -> bytes:
    """Return the frame of a group of records."""
    return frame("\n".join(records).encode())


def read_all(disk: Disk) -> list[Segment | Pack]:
    """Read a log.

    Raises:
        StoreDamaged: a file is missing, or not what was written; it names the file and the byte.
    """
    found: list[Segment | Pack] = []
    for number, packed, last in _numbers(disk):
        segment = read_pack(disk, number) if packed else _read_or_pack(disk, number, last)
        _check_follows(disk, found, segment)
        found.append(segment)
    return found


def read(disk: Disk, number: int, last: bool) -> Segment:
    """Read a segment, the last one of which may end torn.

    Raises:
        StoreDamaged: it is not what was written.
    """
    name = name_of(number)
    path = f"{disk.path}/{name}"
    data = disk.read(name)
    payloads, end = scan(data)
    head = _HEAD.fullmatch(payloads[0].decode("ascii", "replace")) if payloads else None
    if head is None or int(head[2]) != number:
        raise damaged(path, 0, f"it does not begin as segment {number} of a decision log does")
    if len(data) != int(head[4]):
        raise damaged(path, len(data), f"it had {head[4]} bytes")
    if check_tail(data, end, path) and not last:
        raise damaged(path, end, "and segments follow")
    lines = [line for payload in payloads[1:] for line in payload.decode().split("\n")]
    return Segment(head[1], number, int(head[3]), len(data), lines, end)


def _read_or_pack(disk: Disk, number: int, last: bool) -> Segment | Pack:
    """Read a segment, or its pack if that has taken its place since the folder was looked at."""
    try:
        return read(disk, number, last)
    except FileNotFoundError:
        return read_pack(disk, number)


def _numbers(disk: Disk) -> list[tuple[int, bool, bool]]:
    """The numbers of all segments, whether each is only there as a pack, and whether it is the last.

    A segment beside its pack is what is sure to be on the disk; it is packed again.
    """
    kinds: dict[int, set[str]] = {}
    for found in map(_NAME.fullmatch, disk.names()):
        if found:
            kinds.setdefault(int(found[1]), set()).add(found[2])
    if sorted(kinds) != list(range(1, len(kinds) + 1)) or "log" not in kinds.get(len(kinds), {"log"}):
        names = [name for name in disk.names() if _NAME.fullmatch(name)]
        raise StoreDamaged(
            f"a segment in {disk.path!r} is missing, there are {names}; restore it from a copy"
        )
    return [(number, "log" not in kinds[number], number == len(kinds)) for number in sorted(kinds)]


def _check_follows(disk: Disk, before: Sequence[Segment | Pack], segment: Segment | Pack) -> None:
    start = before[-1].start + before[-1].count if before else 0
    identity = before[0].identity if before else segment.identity
    if (segment.start, segment.identity) != (start, identity):
        raise StoreDamaged(
            f"segment {segment.number} in {disk.path!r} is of log {segment.identity} after {segment.start} records, "
            f"not of {identity} after {start}; restore it from a copy"
        )
