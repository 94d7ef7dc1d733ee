"""Guava's consistent hash, which numbers its buckets."""

from __future__ import annotations

from ringfence.compat._arguments import integer

_MASK = 0xFFFF_FFFF_FFFF_FFFF


def consistent_hash(hash: int, buckets: int) -> int:  # noqa: A002 as Guava calls what it is given
    """Return the bucket, 0 <= bucket < buckets, of `Hashing.consistentHash(hash, buckets)`.

    Follows Guava 33.6.0, `com/google/common/hash/Hashing.java`. It is the jump hash of Lamping and Veach (2014) but for
    one division more, whose rounding gives another bucket for about one key in 50 million.

    Args:
        hash: the 64 bits of a `HashCode` or a Java long: below 0 or above 2**63 is the same in two's complement. A
            `HashCode` of 32 bits is extended with zeros there.
        buckets: at least 1 and less than 2**31.

    Raises:
        InvalidType: an argument that is no int.
        InvalidValue: one that is out of range.
    """
    state = integer("hash", hash, -(1 << 63), _MASK) & _MASK
    buckets = integer("buckets", buckets, 1, (1 << 31) - 1)
    candidate = 0
    while True:
        state = state * 2862933555777941757 + 1 & _MASK
        high = (state >> 33) + 1
        if high == 1 << 31:  # overflows a Java int: the jump goes backwards, which ends the search
            return candidate
        following = int((candidate + 1) / (high / (1 << 31)))
        if following >= buckets:
            return candidate
        candidate = following
