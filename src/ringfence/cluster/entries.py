"""What a cluster stores: keys and values, and the form in which a shard keeps them.

A shard keeps a key as SQLite does: `int` as INTEGER, `str` as TEXT, `bytes` as BLOB. SQLite integers are signed, so
keys from 2**63 up are kept as `key - 2**64`. Stored keys of all three types have one order, SQLite's: integers,
then text by its UTF-8 bytes, then blobs. A scan goes through a shard in that order.
"""

from __future__ import annotations

from typing import TypeAlias

from ringfence.errors import InvalidType, InvalidValue

Key: TypeAlias = str | bytes | int
Value: TypeAlias = str | bytes
StoredKey: TypeAlias = str | bytes | int | float

FIRST: float = float("-inf")
"""A stored key before every key; SQLite puts it before every integer."""

LARGEST_VALUE = 500_000_000
"""Bytes; a prepared value is kept once more, in text, and SQLite ends at 10**9 bytes a row."""


def stored(key: Key) -> StoredKey:
    """The form in which a shard keeps `key`.

    Raises:
        InvalidType: the key is not a str, bytes or int.
        InvalidValue: an integer outside 0 <= key < 2**64, or a str that has no UTF-8 form.
    """
    if type(key) is str:
        return key if key.isascii() else _encodable(key, "key")
    if isinstance(key, bytes):
        return key
    if isinstance(key, str):
        return _encodable(str(key), "key")
    if isinstance(key, int) and not isinstance(key, bool):
        return _signed(int(key))
    raise InvalidType(f"key {key!r} is a {type(key).__name__}; use str, bytes or int")


def original(kept: StoredKey) -> Key:
    """The key of which `kept` is the stored form."""
    if isinstance(kept, int) and kept < 0:
        return kept + 2**64
    assert not isinstance(kept, float)
    return kept


def order(kept: StoredKey) -> tuple[int, StoredKey]:
    """Sorts stored keys as SQLite does."""
    return (1 if isinstance(kept, str) else 2 if isinstance(kept, bytes) else 0), kept


def checked(value: Value) -> Value:
    """`value`, when it can be kept as it is.

    Raises:
        InvalidType: the value is not a str or bytes.
        InvalidValue: a str that has no UTF-8 form, or a value too large.
    """
    if not isinstance(value, (str, bytes)):
        raise InvalidType(
            f"value is a {type(value).__name__}; use str or bytes (serialise other objects first)"
        )
    if len(value) > LARGEST_VALUE:
        raise InvalidValue(f"value of {len(value)} bytes is too large; the limit is {LARGEST_VALUE}")
    return _encodable(value, "value") if isinstance(value, str) else value


def size(value: Value) -> int:
    """How much room a value takes, in bytes (for text: in characters)."""
    return len(value)


def _signed(key: int) -> int:
    if not 0 <= key < 2**64:
        raise InvalidValue(f"key {key} is outside 0 <= key < 2**64")
    return key if key < 2**63 else key - 2**64


def _encodable(text: str, what: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(f"{what} {text[:40]!r} has no UTF-8 form (a lone surrogate); use bytes") from error
    return text
