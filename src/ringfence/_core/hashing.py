# cython: annotation_typing=False
"""64-bit hashes of keys: MurmurHash3, XXH64 and the hash that places a key on a ring.

A key is a str (hashed as its UTF-8), bytes, or an int in 0 <= key < 2**64; anything with `__index__` counts as an int,
except a bool. `murmur3_64` and `xxh64` hash an int as its 8 bytes, little-endian; `key_hash` scrambles it with `mix64`.

All raise `InvalidType` for a key of another type, and `InvalidValue` for an int out of range or a str with lone
surrogates. The batches take any iterable of keys or a one-dimensional NumPy array of integers, `S` or `U` (trailing
NULs do not count) or `StringDType`, and return a uint64 array. `key_hash_many` takes Arrow data too, and releases the
GIL for these and for arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ringfence._core import _checks
from ringfence._core.arrow import Keys

from .columns import hashes as column_hashes
from .columns import hashes_and_nulls, is_column

try:
    import cython
except ModuleNotFoundError:
    from ringfence._core import _cython as cython

if not cython.compiled:
    from ringfence._core._kernel_hash import hash_by, hash_list, murmur3_key, uint64_key, xxh64_key
    from ringfence._core._kernel_murmur import mix64 as mix

if TYPE_CHECKING:
    from ringfence._core._kernel_hash import Kind

KEY, MURMUR3, XXH64 = range(3)


def murmur3_64(key: str | bytes | int, seed: int = 0) -> int:
    """MurmurHash3 x64 128 (Appleby, public domain), the low 64 bits; 0 <= seed < 2**32."""
    return murmur3_key(key, _checks.uint32(seed, "seed"))


def murmur3_64_many(keys: Iterable[str | bytes | int], seed: int = 0) -> NDArray[np.uint64]:
    """`murmur3_64` of each key."""
    return _hashes(keys, MURMUR3, _checks.uint32(seed, "seed"))


def xxh64(key: str | bytes | int, seed: int = 0) -> int:
    """XXH64 (Collet, xxHash specification 0.1.1); 0 <= seed < 2**64."""
    return xxh64_key(key, _checks.uint64(seed, "seed"))


def xxh64_many(keys: Iterable[str | bytes | int], seed: int = 0) -> NDArray[np.uint64]:
    """`xxh64` of each key."""
    return _hashes(keys, XXH64, _checks.uint64(seed, "seed"))


def mix64(number: int) -> int:
    """Scramble 64 bits one to one: the finaliser `fmix64` of MurmurHash3."""
    return mix(uint64_key(number))


def key_hash(key: str | bytes | int, kind: Kind = KEY) -> int:
    """Where a key stands on a ring: `murmur3_64(key)` for str and bytes, `mix64(key)` for an int.

    With another kind it is that hash with seed 0, or what a Python function makes of the key's bytes.
    """
    return hash_by(kind, key)


def key_hash_many(keys: Keys, threads: int = 1, kind: Kind = KEY) -> NDArray[np.uint64]:
    """`key_hash` of each key, in up to `threads` threads where they are a NumPy array or Arrow data."""
    if type(keys) is list or not is_column(keys):
        return _hashes(keys, kind, 0)
    found: NDArray[np.uint64] = column_hashes(keys, threads, kind)
    return found


def key_hashes_and_nulls(
    keys: Keys, threads: int = 1, kind: Kind = KEY
) -> tuple[NDArray[np.uint64], NDArray[np.bool_] | None]:
    """`key_hash` of each key, whatever of a null; and which rows are null, or None where none can be."""
    if not is_column(keys):
        return _hashes(keys, kind, 0), None
    found: tuple[NDArray[np.uint64], NDArray[np.bool_] | None] = hashes_and_nulls(keys, threads, kind)
    return found


def _hashes(keys: Keys, kind: Kind, seed: int) -> NDArray[np.uint64]:
    items = _checks.key_list(keys)
    out: NDArray[np.uint64] = np.empty(len(items), np.uint64)
    hash_list(items, kind, seed, out)
    return out
