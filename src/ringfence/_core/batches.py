"""Owners and replicas of a batch of keys in several threads, and of rows that have no key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ringfence._core import _checks, _threads, hashing
from ringfence._core._kernel_array import Indices, Words
from ringfence._core.arrow import Keys
from ringfence.errors import InvalidType, UnknownNode

if TYPE_CHECKING:
    from ringfence._core._kernel_hash import Kind

Rows = TypeVar("Rows", bound=NDArray[Any])


class Searchable(Protocol):
    """Finds the owners of hashes."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes."""

    @property
    def kind(self) -> Kind:
        """How keys are hashed."""

    def search(self, hashes: Words) -> Indices:
        """Return the owners of hashes, as indices into `nodes`."""

    def rows(self, hashes: Words, n: int) -> Indices:
        """Return the `n` nodes that come first for each hash, one row each."""


def owners(placement: Searchable, keys: Keys, threads: int, null: str | None) -> Indices:
    """Return the owners of a batch, hashed and searched in up to `threads` threads; `null` owns the nulls."""
    threads, owner = _checks.thread_count(threads), position(placement.nodes, null)
    hashes, nulls = hashed(keys, placement.kind, threads, null)
    found = in_threads(placement.search, hashes, np.empty(len(hashes), np.uint32), threads)
    if nulls is not None:
        found[nulls] = owner
    return found


def rows(placement: Searchable, keys: Keys, n: int, threads: int, null: str | None) -> Indices:
    """Return the replicas of a batch like `owners`; a null has `null` and the nodes that follow it in `nodes`."""
    threads, owner = _checks.thread_count(threads), position(placement.nodes, null)
    wanted = _checks.replica_count(n, len(placement.nodes))
    hashes, nulls = hashed(keys, placement.kind, threads, null)
    out: Indices = np.empty((len(hashes), wanted), np.uint32)
    found = in_threads(lambda some: placement.rows(some, n), hashes, out, threads)
    if nulls is not None:
        found[nulls] = (owner + np.arange(wanted)) % len(placement.nodes)
    return found


def hashed(keys: Keys, kind: Kind, threads: int, null: str | None) -> tuple[Words, NDArray[np.bool_] | None]:
    """Return the hashes of a batch and, unless `null` is None and nulls are refused, which rows are null."""
    if null is None:
        return hashing.key_hash_many(keys, threads, kind), None
    return hashing.key_hashes_and_nulls(keys, threads, kind)


def in_threads(work: Callable[[Words], Rows], hashes: Words, out: Rows, threads: int) -> Rows:
    """Put what `work` makes of hashes into `out`, and return it."""

    def part(start: int, stop: int) -> None:
        out[start:stop] = work(hashes[start:stop])

    _threads.split(part, len(hashes), threads)
    return out


def position(nodes: tuple[str, ...], null: Any) -> int:
    """Return the index of the node that has the nulls; 0 where nulls are refused."""
    if null is None:
        return 0
    if not isinstance(null, str):
        raise InvalidType(f"null must be the name of a node, not {type(null).__name__}: {null!r}")
    if null not in nodes:
        raise UnknownNode(null, nodes)
    return nodes.index(null)
