"""Packs: segments that are full, in a few per cent of the room; they keep every record, and its place.

A pack is two frames. The first has lines: which log it is of, its number, how many records stand before it and how
many it has; the Merkle tree's largest subtrees over them, from left to right; for each coordinator and epoch the least
and the greatest number of its decisions; and the records that are no decisions. The second is a zlib stream of all
records, a line each, in which `committed main.1.5-900` stands for that many decisions.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ringfence.errors import StoreError
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.frame import damaged, frame, scan
from ringfence.transactions.merkle.tree import Place, cover, grown, leaf_hash

FORMAT = "ringfence-decisions 1"
"""What every file of a log begins with, after the head of its first frame."""

_HEAD = re.compile(rf"{FORMAT} log ([0-9a-f]{{16}}) pack ([0-9]+) after ([0-9]+) count ([0-9]+)")
_DECIDED = re.compile(r"((?:committed|aborted) (.+)\.([0-9]+))\.([0-9]+)")
_RANGE = re.compile(r"((?:committed|aborted) .+\.)([0-9]+)-([0-9]+)")
_BYTES = 32

Span = tuple[int, int]
Decided = Sequence[re.Match[str] | None]


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """What is known of a pack without its records.

    Attributes:
        identity: of the log.
        number: that of the segment it was.
        start: how many records stand before it.
        count: how many it has.
        nodes: the largest subtrees of the Merkle tree over them.
        spans: of each coordinator and epoch, the least and greatest number it decides on.
        others: its records that are no decisions, oldest first.
    """

    disk: Disk
    identity: str
    number: int
    start: int
    count: int
    nodes: Mapping[Place, bytes]
    spans: Mapping[tuple[str, int], Span]
    others: Sequence[str]

    def records(self) -> list[str]:
        """Its records, oldest first; read from the disk.

        Raises:
            StoreError: the disk does not give them.
        """
        try:
            body = _read(self.disk, self.number)[1]
        except OSError as error:
            raise StoreError(f"{self.disk.path}/{name_of(self.number)} cannot be read: {error}") from error
        return list(_unfolded(zlib.decompress(body).decode().splitlines()))

    def is_whole(self) -> bool:
        """Does its first frame say of its records what they are, and of no others?"""
        records = self.records()
        head = _head(self.identity, self.number, self.start, records, _decided(records))
        return _read(self.disk, self.number)[0] == head


def name_of(number: int) -> str:
    """The name of a pack's file."""
    return f"{number:08}.pack"


def encode(identity: str, number: int, start: int, records: Sequence[str]) -> bytes:
    """Return the pack of a segment's records."""
    decided = _decided(records)
    body = zlib.compress("\n".join(_folded(records, decided)).encode())
    return frame(_head(identity, number, start, records, decided)) + frame(body)


def read_pack(disk: Disk, number: int) -> Pack:
    """Read what is known of a pack without its records, and check that they are whole.

    Raises:
        StoreDamaged: it is not what was written.
    """
    head, kept, *rest = _read(disk, number)[0].decode().split("\n")
    found = _HEAD.fullmatch(head)
    if found is None or int(found[2]) != number:
        raise damaged(f"{disk.path}/{name_of(number)}", 0, f"it does not begin as pack {number} does")
    start, count = int(found[3]), int(found[4])
    raw = base64.b64decode(kept.removeprefix("nodes "))
    hashes = [raw[at : at + _BYTES] for at in range(0, len(raw), _BYTES)]
    nodes = dict(zip(cover(start, start + count), hashes, strict=True))
    spans = [line.split()[1:] for line in rest if line.startswith("span ")]
    return Pack(
        disk, found[1], number, start, count, nodes,
        {(name, int(epoch)): (int(low), int(high)) for name, epoch, low, high in spans},
        [line for line in rest if not line.startswith("span ")],
    )  # fmt: skip


def _read(disk: Disk, number: int) -> tuple[bytes, bytes]:
    """Return the two payloads."""
    data = disk.read(name_of(number))
    payloads, end = scan(data)
    if len(payloads) != 2 or end != len(data):
        raise damaged(f"{disk.path}/{name_of(number)}", end, "it is two frames and nothing else")
    return payloads[0], payloads[1]


def _decided(records: Sequence[str]) -> Decided:
    return [_DECIDED.fullmatch(record) for record in records]


def _head(identity: str, number: int, start: int, records: Sequence[str], decided: Decided) -> bytes:
    lines = [f"{FORMAT} log {identity} pack {number} after {start} count {len(records)}"]
    nodes = grown(start, [leaf_hash(record.encode()) for record in records])
    kept = b"".join(nodes[place] for place in cover(start, start + len(records)))
    lines.append(f"nodes {base64.b64encode(kept).decode()}")
    lines += [f"span {name} {epoch} {low} {high}" for (name, epoch), (low, high) in _spans(decided).items()]
    lines += [record for record, found in zip(records, decided, strict=True) if not found]
    return "\n".join(lines).encode()


def _spans(decided: Decided) -> dict[tuple[str, int], Span]:
    spans: dict[tuple[str, int], Span] = {}
    for found in filter(None, decided):
        key, seq = (found[2], int(found[3])), int(found[4])
        low, high = spans.get(key, (seq, seq))
        spans[key] = min(low, seq), max(high, seq)
    return spans


def _folded(records: Sequence[str], decided: Decided) -> Iterator[str]:
    """Yield the records, those that count on in one line."""
    before, first, last = "", 0, 0
    for record, found in zip(records, decided, strict=True):
        if found and before == found[1] and int(found[4]) == last + 1:
            last += 1
            continue
        if before:
            yield _range(before, first, last)
        before = found[1] if found else ""
        if found:
            first = last = int(found[4])
        else:
            yield record
    if before:
        yield _range(before, first, last)


def _range(before: str, first: int, last: int) -> str:
    return f"{before}.{first}" if first == last else f"{before}.{first}-{last}"


def _unfolded(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        found = _RANGE.fullmatch(line)
        if found is None:
            yield line
        else:
            yield from (f"{found[1]}{seq}" for seq in range(int(found[2]), int(found[3]) + 1))
