"""MD5 (RFC 1321), interpreted; `_kernel_md5.pxd` holds the same names, compiled.

Nothing secret depends on it, so it is allowed everywhere.
"""

from __future__ import annotations

from hashlib import md5


def md5_high(data: bytes, seed: int) -> int:  # noqa: ARG001 as all hashes have it
    """Return the first 64 bits of the MD5, big-endian, as its hexadecimal form is read."""
    return int.from_bytes(md5(data, usedforsecurity=False).digest()[:8], "big")


def md5_low(data: bytes, seed: int) -> int:  # noqa: ARG001
    """Return the last 64 bits of the MD5, big-endian."""
    return int.from_bytes(md5(data, usedforsecurity=False).digest()[8:], "big")


def md5_word(data: bytes, seed: int) -> int:  # noqa: ARG001
    """Return the first 32 bits of the MD5, little-endian: the key hash of ketama."""
    return int.from_bytes(md5(data, usedforsecurity=False).digest()[:4], "little")
