"""A dry run of a change: what each node has before and after, and what moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from os import PathLike
from typing import Any, NamedTuple

from ringfence.placement import plot
from ringfence.placement.shares import Shares
from ringfence.placement.table import in_bytes, percent, table


class NodeLoad(NamedTuple):
    """What a node has before and after a change.

    `before` and `after` are its parts of the keys; None where that placement does not have the node. The bytes are
    estimates, and None where no sizes were given.
    """

    name: str
    before: Fraction | None
    after: Fraction | None
    bytes_before: int | None
    bytes_after: int | None


class Transfer(NamedTuple):
    """What moves from one node to another.

    `part` is the part of the keys, `bytes` an estimate, None where no sizes were given. `source` is None when the old
    placement had no node, `target` when the new one has none.
    """

    source: str | None
    target: str | None
    part: Fraction
    bytes: int | None


class Plan:
    """A dry run of a change from one placement to another, which `print` shows as a table.

    Made by the `plan` of a diff. Between rings all parts are exact; `KeyDiff.plan` counts keys.

    Attributes:
        nodes: a `NodeLoad` for each node of both placements, sorted by name.
        transfers: a `Transfer` for each pair of nodes between which something moves, sorted by names.
        fraction: the part of all keys that moves, 0.0 to 1.0.
        arcs: in how many arcs it moves; None where the placements have none.
        bytes: how many bytes move, estimated; None where no sizes were given.
    """

    def __init__(
        self, shares: Shares, sizes: Mapping[str, int] | None = None, arcs: int | None = None
    ) -> None:
        moved = None if sizes is None else shares.transfer(sizes)
        self.fraction, self.arcs = shares.fraction, arcs
        self.bytes = None if moved is None else sum(moved.values())
        self.transfers = tuple(
            Transfer(source, target, part, None if moved is None else moved[source, target])
            for (source, target), part in shares.totals.items()
        )
        names = sorted({*shares.before, *shares.after})
        self.nodes = tuple(NodeLoad(*row) for row in self._loads(names, shares, sizes))

    def _loads(
        self, names: list[str], shares: Shares, sizes: Mapping[str, int] | None
    ) -> Iterator[tuple[Any, ...]]:
        gained: Counter[str | None] = Counter()
        for source, target, _, count in self.transfers:
            gained[source] -= count or 0
            gained[target] += count or 0
        for name in names:
            parts = shares.before.get(name), shares.after.get(name)
            held = None if sizes is None else sizes.get(name, 0)
            yield name, *parts, held, None if held is None else held + gained[name]

    def draw(self, path: str | PathLike[str]) -> None:
        """Draw the load of each node before and after, and what moves from where to where.

        Args:
            path: the file to write, or to write over; it ends in `.svg` or `.png`.

        Raises:
            BackendUnavailable: matplotlib is not installed: `pip install 'ringfence[plot]'`.
            InvalidValue: another ending, there is nothing to draw, or the file cannot be written.
        """
        plot.draw(self, path)

    def as_dict(self) -> dict[str, Any]:
        """Return everything in dicts, lists, strings and numbers, as JSON wants it; parts are floats."""
        return {
            "fraction": self.fraction,
            "arcs": self.arcs,
            "bytes": self.bytes,
            "nodes": [_plain(node) for node in self.nodes],
            "transfers": [_plain(transfer) for transfer in self.transfers],
        }

    def __str__(self) -> str:
        return "\n\n".join(filter(None, [self.headline(), self._node_table(), self._transfer_table()]))

    def headline(self) -> str:
        """Return in one line how much moves."""
        size = "" if self.bytes is None else f", about {in_bytes(self.bytes)}"
        arcs = "" if self.arcs is None else f" in {self.arcs:,} arcs"
        return f"{percent(self.fraction)} of the keys move{arcs}{size}"

    def _node_table(self) -> str:
        sized = self.bytes is not None
        head = ["node", "before", "after", "change", *(["bytes before", "bytes after"] if sized else [])]
        return table(head, [_node_row(node, sized) for node in self.nodes]) if self.nodes else ""

    def _transfer_table(self) -> str:
        sized = self.bytes is not None
        head = ["from", "to", "keys", *(["bytes"] if sized else [])]
        rows = [
            [source or "-", target or "-", percent(float(part)), *([in_bytes(size or 0)] if sized else [])]
            for source, target, part, size in self.transfers
        ]
        return table(head, rows, left=2) if rows else ""

    def __repr__(self) -> str:
        return f"<Plan: {self.headline()}>"


def _node_row(node: NodeLoad, sized: bool) -> list[str]:
    before, after = (None if part is None else float(part) for part in (node.before, node.after))
    change = f"{100 * ((after or 0) - (before or 0)):+.2f}"
    row = [node.name, *("-" if part is None else percent(part) for part in (before, after)), change]
    return row + ([in_bytes(node.bytes_before or 0), in_bytes(node.bytes_after or 0)] if sized else [])


def _plain(row: NodeLoad | Transfer) -> dict[str, Any]:
    return {
        name: float(value) if isinstance(value, Fraction) else value for name, value in row._asdict().items()
    }
