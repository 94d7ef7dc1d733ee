"""Keys and values as bytes, for shards in servers that sort and keep bytes.

A letter says of which type a key is, and what follows sorts as `entries.order` does: `i` and eight bytes of an integer,
the first bit turned over; `s` and the UTF-8 of text; `t` and bytes. A value is `s` and UTF-8, or `b` and bytes.
"""

from __future__ import annotations

from ringfence.cluster.entries import StoredKey, Value

LAST = b"\xff"
"""Sorts behind every key."""

_SIGN = 1 << 63


def key_to_bytes(key: StoredKey) -> bytes:
    """The bytes of a stored key; none for what comes before every key."""
    if isinstance(key, str):
        return b"s" + key.encode()
    if isinstance(key, bytes):
        return b"t" + key
    return b"" if isinstance(key, float) else b"i" + (key + _SIGN).to_bytes(8, "big")


def key_from_bytes(data: bytes) -> StoredKey:
    """The stored key that `key_to_bytes` encoded."""
    kind, rest = data[:1], data[1:]
    if kind == b"i":
        return int.from_bytes(rest, "big") - _SIGN
    return rest.decode() if kind == b"s" else rest


def value_to_bytes(value: Value) -> bytes:
    """The bytes of a value."""
    return b"s" + value.encode() if isinstance(value, str) else b"b" + value


def value_from_bytes(data: bytes | None) -> Value | None:
    """The value that `value_to_bytes` encoded; None for none."""
    if data is None:
        return None
    return data[1:].decode() if data[:1] == b"s" else data[1:]
