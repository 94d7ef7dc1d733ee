"""The keys of a Redis participant: its own, and which ones a branch may use."""

from __future__ import annotations

import re

from ringfence import _redis
from ringfence.errors import InvalidType, InvalidValue
from ringfence.transactions.gid import Gid

PREFIX = "ringfence:"
BLOCK = 4096
"""Transactions whose bits share a key."""

_TAG = re.compile(r"[A-Za-z0-9_.-]{1,64}")

Word = str | bytes | int | float


class Keys:
    """The keys of one participant, all with one hash tag.

    Args:
        tag: of its own keys; in a Redis Cluster, of all keys that its branches use.
        clustered: it is in a Redis Cluster.

    Raises:
        InvalidValue: the tag is empty, too long or has other characters than A-Z a-z 0-9 _ . and -.
    """

    def __init__(self, tag: str, clustered: bool) -> None:
        if not _TAG.fullmatch(tag):
            raise InvalidValue(f"tag={tag!r} is no hash tag; use 1 to 64 of A-Z a-z 0-9 _ . -")
        self.tag = tag
        self.clustered = clustered

    def own(self, name: str) -> str:
        """Return one of the participant's own keys."""
        return f"{PREFIX}{{{self.tag}}}:{name}"

    def of(self, gid: str) -> list[str]:
        """Return the keys that every script is given."""
        parsed = Gid.parse(gid)
        block = f"settled:{parsed.name}.{parsed.epoch}.{parsed.seq // BLOCK}"
        return [
            self.own(name) for name in ("prepared", f"stage:{gid}", f"done:{gid}", "held", "branch", block)
        ]

    def mark(self, resource: str) -> str:
        """Return the key in which the guards of locks keep the highest fence of a resource.

        Raises:
            InvalidValue: in a Redis Cluster, it may be on another node.
        """
        key = _redis.guard_key(resource)
        if self.clustered and resource != self.tag:
            raise InvalidValue(
                f"in a Redis Cluster the mark of {resource!r} is elsewhere; name the lock {self.tag!r}, as the tag is"
            )
        return key

    def checked(self, key: Word) -> bytes:
        """Return a key that a branch may use, as bytes.

        Raises:
            InvalidType: it is neither str nor bytes.
            InvalidValue: it is one in which prepared work is kept; or in a Redis Cluster without the tag.
        """
        if not isinstance(key, str | bytes):
            raise InvalidType(f"a key of Redis is str or bytes, not {key!r}")
        word = encoded(key)
        if word.startswith(PREFIX.encode()):
            raise InvalidValue(f"{key!r} is one of ringfence's own keys; use another name")
        if self.clustered and _tag_of(word) != self.tag.encode():
            raise InvalidValue(f"{key!r} is not in the participant's slot; put {{{self.tag}}} into it")
        return word


def encoded(value: Word) -> bytes:
    """Return a key, field or value as Redis keeps it.

    Raises:
        InvalidType: it is not str, bytes, int or float.
        InvalidValue: a str that has no UTF-8 form.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidType(f"Redis keeps str, bytes, int and float, not {value!r}")
    try:
        return _text(value).encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(f"{value[:40]!r} has no UTF-8 form (a lone surrogate); use bytes") from error  # type: ignore[index]


def _text(value: str | float) -> str:
    """Return a value as text; subclasses, of NumPy and enumerations, show themselves otherwise."""
    if isinstance(value, str):
        return str.__str__(value)
    return int.__repr__(value) if isinstance(value, int) else float.__repr__(value)


def bit(gid: str) -> int:
    """Return the place of a transaction's two bits in its block."""
    return 2 * (Gid.parse(gid).seq % BLOCK)


def _tag_of(key: bytes) -> bytes:
    """The part of a key that decides on its slot: between the first brace and the next closing one."""
    _, opened, rest = key.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return tag if opened and closed and tag else key
