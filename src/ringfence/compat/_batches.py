"""Batches of keys that are placed from a list: columns are read into one, and nulls have a node of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence._core import _checks
from ringfence._core.arrow import Keys
from ringfence._core.batches import position
from ringfence._core.columns import is_column, listed, refuse_nulls


def placed(
    nodes: tuple[str, ...],
    find: Callable[[list[Any]], NDArray[np.uint32]],
    keys: Keys,
    threads: int,
    null: str | None,
) -> NDArray[np.uint32]:
    """Return what `find` makes of a batch: an owner or a row of them for each key, as indices into `nodes`.

    Args:
        nodes: the names.
        find: from a list of keys to their owners; it refuses what the system could not place.
        keys: what `Circle.lookup_many` takes.
        threads: checked, for all is done in one.
        null: the name of the node that owns the rows that are null, and comes first in their rows of replicas, before
            those that follow it in `nodes`; without it a null is refused.

    Raises:
        InvalidType: `keys` is a single key, or what `find` raises it for.
        InvalidValue: a row is null, Arrow data are malformed, or `threads` is less than 1.
        UnknownNode: there is no node named `null`.
    """
    _checks.thread_count(threads)
    owner = position(nodes, null)
    if type(keys) is list or not is_column(keys):
        return find(list(_checks.key_list(keys)))  # of our own: another thread may change that of the caller
    items, nulls = listed(keys)
    if null is None:
        refuse_nulls(nulls)
    if nulls is None:
        return find(items)
    found = find([key for key, missing in zip(items, nulls, strict=True) if not missing])
    out: NDArray[np.uint32] = np.empty((len(items), *found.shape[1:]), np.uint32)
    out[~nulls] = found
    out[nulls] = owner if found.ndim == 1 else (owner + np.arange(found.shape[1])) % len(nodes)
    return out
