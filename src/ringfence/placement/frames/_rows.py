"""Which rows of a frame belong to which node, and what the libraries of frames have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib import import_module
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ringfence._core.arrow import Keys
from ringfence._core.circles import Circle
from ringfence.errors import BackendUnavailable, EmptyRing, InvalidType, InvalidValue
from ringfence.placement.names import Names

Owners: TypeAlias = NDArray[np.uint32]


class Placed(Protocol):
    """A placement that reads columns: every one of `ringfence.placement`, and the rings of `ringfence.compat`."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes."""

    def lookup_many(self, keys: Keys, *, threads: int = 1, null: str | None = None) -> Owners:
        """Return the owners of a batch of keys, as indices into `nodes`."""


def library(name: str, extra: str) -> Any:
    """Import a library of frames, or name the extra that installs it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise BackendUnavailable(
            f"{name} is needed here, but cannot be imported ({error}): pip install 'ringfence[{extra}]'"
        ) from None


def check(placement: Any, on: Any, columns: Collection[Any]) -> None:
    """Refuse what is no placement, has no node, or no column of the frame."""
    if not isinstance(placement, Names | Circle):
        raise InvalidType(
            f"frames are partitioned by a placement of ringfence.placement or compat, not {placement!r}"
        )
    if not placement.nodes:
        raise EmptyRing
    if on not in columns:
        shown = ", ".join(map(repr, columns))
        raise InvalidValue(f"the frame has no column {on!r}; its columns are {shown or 'none'}")


def node_by_node(
    owners: Owners, nodes: tuple[str, ...]
) -> tuple[NDArray[np.intp], Iterator[tuple[str, slice]]]:
    """Return the rows sorted by node, each node's in their order, and each node's slice of them."""
    narrow = owners.astype(np.min_scalar_type(len(nodes)))  # 16 bits are sorted by radix
    ends = np.cumsum(np.bincount(owners, minlength=len(nodes))).tolist()
    slices = (slice(start, end) for start, end in zip([0, *ends], ends, strict=False))
    return np.argsort(narrow, kind="stable"), zip(nodes, slices, strict=True)
