"""Partition polars frames."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ringfence.errors import InvalidType
from ringfence.placement.frames import _rows

if TYPE_CHECKING:
    import polars as pl

_OWNER = "ringfence owner"  # a column while the rows are filtered
Frame = TypeVar("Frame", "pl.DataFrame", "pl.LazyFrame")


def partition(
    frame: Frame, placement: _rows.Placed, *, on: str, threads: int = 1, null: str | None = None
) -> dict[str, Frame]:
    """Return the rows of each node, by its name: every node in the order of `nodes`, rows in theirs.

    The keys are hashed where they lie, as Arrow data. The frames of a `LazyFrame` are lazy too: nothing is read before
    one is collected, and a missing column or a wrong key is found then. `polars.collect_all(found.values())` reads and
    hashes once for all nodes.

    Args:
        frame: the rows.
        placement: a placement of `ringfence.placement`, or a ring of `ringfence.compat`.
        on: the column of keys.
        threads: over how many threads at most to split the hashing.
        null: the name of the node that owns the rows that are null; without it they are refused.

    Raises:
        BackendUnavailable: polars is missing.
        EmptyRing: the placement has no node.
        InvalidType: `frame` is no polars frame, `placement` none of ours, or the column holds no keys.
        InvalidValue: there is no such column, a row is null, or a key is out of range. Of a lazy frame, the row
            is counted in the batch that polars reads at once.
        UnknownNode: there is no node named `null`.
    """
    polars = _rows.library("polars", "polars")
    if isinstance(frame, polars.LazyFrame):
        return _lazy(polars, frame, placement, on, threads, null)
    if not isinstance(frame, polars.DataFrame):
        raise InvalidType(f"frame must be a polars DataFrame or LazyFrame, not {type(frame).__name__}")
    _rows.check(placement, on, frame.columns)
    owners = placement.lookup_many(frame[on], threads=threads, null=null)
    order, slices = _rows.node_by_node(owners, placement.nodes)
    ordered = frame[order]
    return {node: ordered[rows] for node, rows in slices}


def _lazy(
    polars: Any, frame: Any, placement: _rows.Placed, on: str, threads: int, null: str | None
) -> dict[str, Any]:
    _rows.check(placement, on, (on,))  # which columns there are is known when it is read
    placement.lookup_many([], threads=threads, null=null)
    find = partial(_owners, polars, placement, threads, null)
    owners = polars.col(on).map_batches(find, return_dtype=polars.UInt32, is_elementwise=True)
    placed, owner = frame.with_columns(owners.alias(_OWNER)), polars.col(_OWNER)  # one plan, so hashed once
    return {node: placed.filter(owner == i).drop(_OWNER) for i, node in enumerate(placement.nodes)}


def _owners(polars: Any, placement: _rows.Placed, threads: int, null: str | None, keys: Any) -> Any:
    return polars.Series(placement.lookup_many(keys, threads=threads, null=null))
