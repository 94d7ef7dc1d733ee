# cython: annotation_typing=False, binding=False
"""Jump consistent hash: the bucket of a key among numbered ones, without any table."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ringfence._core import _checks
from ringfence._core._kernel_array import Indices, Words
from ringfence.errors import EmptyRing

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_hash import hash_key
    from ringfence._core._kernel_jump import bucket_count, jump, jump_key, jump_many, jump_ranked, jump_rows
    from ringfence._core._kernel_search import replica_count

_FEW = tuple(range(256))  # at hand, as making an int of a C number takes a call


def jump_hash(key: int, buckets: int, /) -> int:
    """Return the bucket of a 64-bit key, exactly as Lamping and Veach's program does (arXiv 1406.2294).

    The key is taken as it is: hash it first unless it is a hash already.

    Args:
        key: 0 <= key < 2**64.
        buckets: how many there are, 1 <= buckets < 2**31.

    Raises:
        InvalidType: an argument is no int.
        InvalidValue: an argument out of range.
    """
    bucket = jump(jump_key(key), bucket_count(buckets))
    return _FEW[bucket] if bucket < 256 else bucket


def jump_hash_many(keys: Iterable[int], buckets: int) -> Indices:
    """`jump_hash` of each 64-bit key of an integer array or sequence, as uint32; the GIL is released."""
    count = bucket_count(buckets)
    numbers = _checks.integers(keys if isinstance(keys, np.ndarray) else np.array(list(keys), np.uint64))
    out: Indices = np.empty(len(numbers), np.uint32)
    jump_many(numbers, count, out)
    return out


class Jump:
    """Names in the order of their buckets, and the look-ups among them."""

    __slots__ = ("_count", "_names")

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._count = len(names)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, in the order of their buckets."""
        return self._names

    def __getitem__(self, key: str | bytes | int) -> str:
        """Return the name of the node that owns `key`."""
        if self._count == 0:
            raise EmptyRing
        return self._names[jump(hash_key(key), self._count)]

    def lookup(self, key: str | bytes | int, /) -> str:
        """Return the name of the node that owns `key`, like `HashRing.lookup`."""
        if self._count == 0:
            raise EmptyRing
        return self._names[jump(hash_key(key), self._count)]

    def ranked(self, key: str | bytes | int, n: int) -> tuple[str, ...]:
        """Return the `n` nodes that come first for `key`."""
        if self._count == 0:
            raise EmptyRing
        return jump_ranked(hash_key(key), self._names, replica_count(n, self._count))

    def search(self, hashes: Words) -> Indices:
        """Return the owners of a contiguous array of hashes, as uint32 indices into `nodes`."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty(len(hashes), np.uint32)
        jump_many(hashes, self._count, out)
        return out

    def rows(self, hashes: Words, n: int) -> Indices:
        """Return the `n` nodes that come first for each hash, one row each."""
        if self._count == 0:
            raise EmptyRing
        out: Indices = np.empty((len(hashes), replica_count(n, self._count)), np.uint32)
        jump_rows(hashes, self._count, out)
        return out
