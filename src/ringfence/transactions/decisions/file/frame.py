"""Frames: how a group of records stands in a segment.

A frame is `u32 length | u32 crc32c | payload`, little-endian, and begins at a multiple of 8 bytes. Its payload is the
group's records, a line each. What follows the last frame is zeros. As a group is written only when the one before is
on the disk, a crash can leave at most one frame torn, and nothing good behind it: anything else is damage.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from ringfence._core.digests import digest
from ringfence.errors import StoreDamaged

_HEAD = struct.Struct("<II")
_STEP = 8


def frame(records: Sequence[str]) -> bytes:
    """Return the frame of a group of records."""
    payload = "\n".join(records).encode()
    head = _HEAD.pack(len(payload), digest("crc32c", payload))
    return _padded(head + payload)


def scan(data: bytes) -> tuple[list[list[str]], int]:
    """Return the groups that stand at the beginning of a segment, and where they end."""
    groups, at = [], 0
    while (payload := _payload(data, at)) is not None:
        groups.append(payload.decode().split("\n"))
        at += len(_padded(bytes(_HEAD.size) + payload))
    return groups, at


def check_tail(data: bytes, end: int, path: str) -> bool:
    """Look at what follows the last good frame; say whether it is a torn one.

    Raises:
        StoreDamaged: good frames follow, so something that was on the disk is not any more.
    """
    behind = next(_good_frames(data, end + _STEP), None)
    if behind is not None:
        raise StoreDamaged(
            f"{path!r} is damaged at byte {end}, as good records follow at byte {behind}; restore it from a copy"
        )
    return any(data[end:])


def _payload(data: bytes, at: int) -> bytes | None:
    """Return the payload of the frame at `at`, if it is whole."""
    if at + _HEAD.size > len(data):
        return None
    length, checksum = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    if not 0 < length <= len(data) - start:
        return None
    payload = data[start : start + length]
    return payload if digest("crc32c", payload) == checksum else None


def _good_frames(data: bytes, start: int) -> Iterator[int]:
    end = len(data.rstrip(b"\0"))
    return (at for at in range(start, end, _STEP) if _payload(data, at) is not None)


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % _STEP)
