"""The hashes by which a ring can place its keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ringfence._core.digests import KINDS
from ringfence._core.hashing import KEY
from ringfence.errors import InvalidType, InvalidValue

if TYPE_CHECKING:
    from ringfence._core._kernel_hash import Kind

KeyHash: TypeAlias = str | Callable[[bytes], int]
"""The name of a hash, or a function from the bytes of a key to an int in 0 <= hash < 2**64."""


def kind(key_hash: KeyHash) -> Kind:
    """Return what the look-ups take for a hash.

    Raises:
        InvalidType: it is neither a name nor a function.
        InvalidValue: there is no hash of that name.
    """
    if callable(key_hash):
        return key_hash
    if not isinstance(key_hash, str):
        raise InvalidType(
            f"hash must be a name or a function of bytes, not {type(key_hash).__name__}: {key_hash!r}"
        )
    if key_hash not in NAMED:
        raise InvalidValue(f"hash must be one of {', '.join(NAMED)} or a function of bytes, not {key_hash!r}")
    return NAMED[key_hash]


NAMED = {"murmur3": KEY, **{name: KINDS[name] for name in ("xxh64", "xxh3", "md5", "sha1")}}
"""All that have a name; `docs/placement-format.md` defines them."""
