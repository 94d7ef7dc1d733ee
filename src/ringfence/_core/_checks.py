"""Argument checks that both twins share, so that they refuse with the same class and the same words."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from ringfence.errors import InvalidType, InvalidValue


def uint64(value: object, what: str) -> int:
    """Return `value` as an int in 0 <= value < 2**64; anything with `__index__` will do, except a bool.

    Raises:
        InvalidType: it is no integer.
        InvalidValue: it is out of range.
    """
    return _unsigned(value, what, 64)


def uint32(value: object, what: str) -> int:
    """Return `value` as an int in 0 <= value < 2**32, like `uint64`."""
    return _unsigned(value, what, 32)


def _unsigned(value: Any, what: str, bits: int) -> int:
    expected = "a str, bytes or int" if what == "key" else "an int"
    if isinstance(value, bool):
        raise InvalidType(f"{what} must be {expected}, not bool: {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidType(f"{what} must be {expected}, not {type(value).__name__}: {value!r}") from None
    if not 0 <= number < 1 << bits:
        raise InvalidValue(f"{what} must be in 0 <= {what} < 2**{bits}, not {number}")
    return number


def hash_result(found: Any, function: Callable[[bytes], Any], data: bytes) -> int:
    """Return what `function` made of the bytes of a key, an int in 0 <= hash < 2**64."""
    if type(found) is int and 0 <= found < 1 << 64:
        return found
    return uint64(found, f"{getattr(function, '__qualname__', 'hash')}({data!r})")


def replica_count(n: Any, most: int) -> int:
    """Return `n`, an int of at least 1, but no more than `most`."""
    if isinstance(n, bool) or not isinstance(n, SupportsIndex):
        raise InvalidType(f"n must be an int, not {type(n).__name__}: {n!r}")
    if n.__index__() < 1:
        raise InvalidValue(f"n must be at least 1, not {n!r}")
    return min(n.__index__(), most)


def bucket_count(buckets: Any) -> int:
    """Return `buckets`, an int in 1 <= buckets < 2**31."""
    if isinstance(buckets, bool) or not isinstance(buckets, SupportsIndex):
        raise InvalidType(f"buckets must be an int, not {type(buckets).__name__}: {buckets!r}")
    if not 1 <= buckets.__index__() < 1 << 31:
        raise InvalidValue(f"buckets must be in 1 <= buckets < 2**31, not {buckets!r}")
    return buckets.__index__()


def thread_count(threads: Any) -> int:
    """Return `threads`, an int of at least 1."""
    if isinstance(threads, bool) or not isinstance(threads, SupportsIndex):
        raise InvalidType(f"threads must be an int, not {type(threads).__name__}: {threads!r}")
    if threads.__index__() < 1:
        raise InvalidValue(f"threads must be at least 1, not {threads!r}")
    return threads.__index__()


def refuse_surrogates(key: str) -> NoReturn:
    """Raise for a str that has no UTF-8."""
    raise InvalidValue(f"key has no UTF-8, because of lone surrogates: {key!r}") from None


def refuse_shrunk(count: int, left: int) -> NoReturn:
    """Raise for a list that another thread has shortened."""
    raise InvalidValue(f"the list of keys shrank from {count} to {left} while it was read") from None


def integers(array: NDArray[Any]) -> NDArray[np.uint64]:
    """Return an array of integer keys as contiguous uint64; refuse negative ones."""
    one_dimension(array)
    if array.dtype.kind == "i" and (array < 0).any():
        raise InvalidValue(f"key must be in 0 <= key < 2**64, not {array[array < 0][0]}")
    return np.ascontiguousarray(array, np.uint64)


def key_list(keys: Any) -> list[Any]:
    """Return the keys of a batch as a list.

    Raises:
        InvalidType: a single key instead of several, or an array whose items are no keys.
    """
    if isinstance(keys, np.ndarray):
        one_dimension(keys)
        if keys.dtype.kind not in "iuSUOT":
            raise InvalidType(f"keys must be integers, str or bytes, not an array of {keys.dtype}")
        items: list[Any] = keys.tolist()
        return items
    if isinstance(keys, str | bytes):
        raise InvalidType(f"keys must be a sequence of keys, not a single {type(keys).__name__}: {keys!r}")
    try:
        return keys if type(keys) is list else list(keys)
    except TypeError:
        raise InvalidType(f"keys must be a sequence of keys, not {type(keys).__name__}: {keys!r}") from None


def one_dimension(array: NDArray[Any]) -> None:
    """Refuse an array that is no single row of keys."""
    if array.ndim != 1:
        raise InvalidValue(f"keys must be an array of one dimension, not {array.ndim}")
