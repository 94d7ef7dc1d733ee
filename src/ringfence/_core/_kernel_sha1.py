"""SHA-1 (FIPS 180-4), interpreted; `_kernel_sha1.pxd` holds the same names, compiled.

Nothing secret depends on it, so it is allowed everywhere.
"""

from __future__ import annotations

from hashlib import sha1


def sha1_high(data: bytes, seed: int) -> int:  # noqa: ARG001 as all hashes have it
    """Return the first 64 bits of the SHA-1, big-endian, as its hexadecimal form is read."""
    return int.from_bytes(sha1(data, usedforsecurity=False).digest()[:8], "big")
