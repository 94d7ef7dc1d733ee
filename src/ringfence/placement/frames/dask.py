"""Partition Dask frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringfence.errors import InvalidType
from ringfence.placement.frames import _rows, pandas

if TYPE_CHECKING:
    from collections.abc import Hashable

    import dask.dataframe as dd

_INDEX, _OWNER = "ringfence index", "ringfence owner"  # columns while rows are on their way


def partition(
    frame: dd.DataFrame, placement: _rows.Placed, *, on: Hashable, threads: int = 1, null: str | None = None
) -> dd.DataFrame:
    """Return a frame whose partition `i` holds the rows of `placement.nodes[i]`; one may be empty.

    Nothing is read or moved before it is computed. Each partition is hashed as one of pandas is, then Dask shuffles
    rows by their owners (`set_index` with known divisions). Rows keep their labels in the index, but not their order,
    as after any shuffle. A null or wrong key is raised by the computation.

    Args:
        frame: the rows.
        placement: a placement of `ringfence.placement`, or a ring of `ringfence.compat`; it is sent to the workers.
        on: the column of keys.
        threads: over how many threads at most to split the hashing of one partition.
        null: the name of the node that owns the rows without a key; without it they are refused.

    Raises:
        BackendUnavailable: Dask is missing.
        EmptyRing: the placement has no node.
        InvalidType: `frame` is no Dask frame, `placement` none of ours, or the column holds no keys.
        InvalidValue: there is no such column or more than one; when computed, a row has no key or one out of range.
        UnknownNode: there is no node named `null`.
    """
    if not isinstance(frame, _rows.library("dask.dataframe", "dask").DataFrame):
        raise InvalidType(f"frame must be a Dask DataFrame, not {type(frame).__name__}")
    _rows.check(placement, on, frame.columns)
    empty = frame._meta
    options = (placement, on, threads, null)
    placed = frame.map_partitions(_with_owners, *options, meta=_with_owners(empty, *options))
    shuffled = placed.set_index(_OWNER, divisions=list(range(len(placement.nodes) + 1)))
    restored: Any = shuffled.map_partitions(_without_owners, empty.index.name, meta=empty)
    parts: dd.DataFrame = restored.clear_divisions()
    return parts


def _with_owners(part: Any, placement: _rows.Placed, on: Hashable, threads: int, null: str | None) -> Any:
    found = pandas.owners(part[on], placement, threads, null)
    return part.assign(**{_INDEX: part.index, _OWNER: found.astype("int64")})


def _without_owners(part: Any, name: Hashable) -> Any:
    return part.set_index(_INDEX).rename_axis(name)
