"""Owners of a batch of keys in several threads, and of rows that have no key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ringfence._core import _checks, _threads, hashing
from ringfence._core._kernel_array import Indices, Words
from ringfence._core.arrow import Keys
from ringfence.errors import InvalidType, UnknownNode

if TYPE_CHECKING:
    from ringfence._core._kernel_hash import Kind


class Searchable(Protocol):
    """Finds the owners of hashes."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes."""

    def search(self, hashes: Words) -> Indices:
        """Return the owners of hashes, as indices into `nodes`."""


def owners(
    placement: Searchable, keys: Keys, threads: int, null: str | None, kind: Kind = hashing.KEY
) -> Indices:
    """Return the owners of a batch, hashed and searched in up to `threads` threads; `null` owns the nulls."""
    threads = _checks.thread_count(threads)
    if null is None:
        return _searched(placement, hashing.key_hash_many(keys, threads, kind), threads)
    owner = _position(placement.nodes, null)
    hashes, nulls = hashing.key_hashes_and_nulls(keys, threads, kind)
    found = _searched(placement, hashes, threads)
    if nulls is not None:
        found[nulls] = owner
    return found


def _searched(placement: Searchable, hashes: Words, threads: int) -> Indices:
    out: Indices = np.empty(len(hashes), np.uint32)

    def work(start: int, stop: int) -> None:
        out[start:stop] = placement.search(hashes[start:stop])

    _threads.split(work, len(hashes), threads)
    return out


def _position(nodes: tuple[str, ...], null: Any) -> int:
    if not isinstance(null, str):
        raise InvalidType(f"null must be the name of a node, not {type(null).__name__}: {null!r}")
    if null not in nodes:
        raise UnknownNode(null, nodes)
    return nodes.index(null)
