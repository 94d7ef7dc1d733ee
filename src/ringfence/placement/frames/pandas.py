"""Partition pandas frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement.frames import _rows

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pandas as pd


def partition(
    frame: pd.DataFrame, placement: _rows.Placed, *, on: Hashable, threads: int = 1, null: str | None = None
) -> dict[str, pd.DataFrame]:
    """Return the rows of each node, by its name: every node in the order of `nodes`, rows in theirs.

    Integers are hashed where they lie; text, bytes, categories and integers with nulls as Arrow data, which pandas
    gives through pyarrow. A column of dtype `object` is copied into Arrow first, and must hold keys of one type.

    Args:
        frame: the rows, each with its label in the index.
        placement: a placement of `ringfence.placement`, or a ring of `ringfence.compat`.
        on: the column of keys.
        threads: over how many threads at most to split the hashing.
        null: the name of the node that owns the rows without a key (`None`, `NaN`, `NA`); without it they are refused.

    Raises:
        BackendUnavailable: pandas is missing, or pyarrow where it is needed.
        EmptyRing: the placement has no node.
        InvalidType: `frame` is no pandas frame, `placement` none of ours, or the column holds no keys.
        InvalidValue: there is no such column or more than one, a row has no key, or a key is out of range.
        UnknownNode: there is no node named `null`.
    """
    if not isinstance(frame, _rows.library("pandas", "pandas").DataFrame):
        raise InvalidType(f"frame must be a pandas DataFrame, not {type(frame).__name__}")
    _rows.check(placement, on, frame.columns)
    found = owners(frame[on], placement, threads, null)
    order, slices = _rows.node_by_node(found, placement.nodes)
    return {node: frame.take(order[rows]) for node, rows in slices}


def owners(column: Any, placement: _rows.Placed, threads: int, null: str | None) -> _rows.Owners:
    """Return the owner of each row of a column, as an index into the nodes."""
    if column.ndim != 1:
        raise InvalidValue(f"the frame has more than one column {column.columns[0]!r}")
    return placement.lookup_many(_keys(column), threads=threads, null=null)


def _keys(column: Any) -> Any:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind != "O":
        return column.to_numpy()
    arrow = _rows.library("pyarrow", "pandas")
    try:
        return arrow.Array.from_pandas(column)
    except UnicodeError as error:
        raise InvalidValue(f"column {column.name!r} holds text without UTF-8: {error}") from None
    except (arrow.ArrowException, OverflowError) as error:
        raise InvalidType(f"column {column.name!r} holds no keys of one type: {error}") from None
