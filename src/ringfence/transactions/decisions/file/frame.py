"""Frames: how bytes stand in a file so that what is torn or damaged is told from what is whole.

A frame is `u32 length | u32 crc32c | payload`, little-endian, and begins at a multiple of 8 bytes. What follows the
last frame is zeros. As a frame is written only when the one before is on the disk, a crash can leave at most one of
them torn, and nothing good behind it: anything else is damage.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ringfence._core.digests import digest
from ringfence.errors import StoreDamaged

_HEAD = struct.Struct("<II")
_STEP = 8


def frame(payload: bytes) -> bytes:
    """Return the frame of a payload, which is not empty."""
    raw = _HEAD.pack(len(payload), digest("crc32c", payload)) + payload
    return raw + bytes(-len(raw) % _STEP)


def scan(data: bytes) -> tuple[list[bytes], int]:
    """Return the payloads of the frames that stand at the beginning, and where they end."""
    payloads, at = [], 0
    while (payload := _payload(data, at)) is not None:
        payloads.append(payload)
        at += _HEAD.size + len(payload)
        at += -at % _STEP
    return payloads, at


def check_tail(data: bytes, end: int, path: str) -> bool:
    """Look at what follows the last good frame; say whether it is a torn one.

    Raises:
        StoreDamaged: good frames follow, so something that was on the disk is not any more.
    """
    behind = next(_good_frames(data, end + _STEP), None)
    if behind is not None:
        raise damaged(path, end, f"as good records follow at byte {behind}")
    return any(data[end:])


def damaged(path: str, at: int, why: str) -> StoreDamaged:
    """The error for a file that is not what was written."""
    return StoreDamaged(f"{path!r} is damaged at byte {at}, {why}; restore it from a copy")


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
