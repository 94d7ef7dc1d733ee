"""Maglev hashing (Eisenbud et al. 2016), interpreted; `_kernel_maglev.pxd` holds the same names, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence._core._kernel_array import Indices, Words
from ringfence._core._kernel_rows import walk


def remainder(h: int, size: int, inverse: int) -> int:  # noqa: ARG001 as the compiled twin has it
    """Return `h % size`; `inverse` is `(2**64 - 1) // size`."""
    return h % size


def populate(offsets: Words, skips: Words, weights: NDArray[np.float64], table: Indices) -> None:
    """Fill `table` by turns: a node in proportion to its weight takes the next free slot of its permutation.

    Node `i` tries the slots `offsets[i] + j * skips[i]` modulo the size of the table. A node of the greatest weight
    takes a slot at every turn, one of half that weight at every other; everyone does at the first.
    `offsets` is overwritten.
    """
    at, skip, weight = offsets.tolist(), skips.tolist(), weights.tolist()
    size, filled, turn, most = len(table), 0, 0, max(weight)
    owners, targets = [-1] * size, [0.0] * len(at)
    while filled < size:
        turn += 1
        for node in range(len(at)):
            if turn * weight[node] < targets[node] or filled == size:
                continue
            targets[node] += most
            while owners[at[node]] >= 0:
                at[node] = (at[node] + skip[node]) % size
            owners[at[node]] = node
            filled += 1
    table[:] = owners


def slots_many(hashes: Words, table: Indices, inverse: int, out: Indices) -> None:  # noqa: ARG001
    """Put the owner of each hash's slot into `out`, which is as long; compiled, without the GIL."""
    out[:] = table[hashes % np.uint64(len(table))]


def table_rows(hashes: Words, table: Indices, inverse: int, nodes: int, out: Indices) -> None:  # noqa: ARG001
    """Put the distinct owners met from each hash's slot on into its row; compiled, without the GIL."""
    owners: list[Any] = table.tolist()
    for row, h in enumerate(hashes.tolist()):
        out[row] = walk(owners, len(owners), h % len(owners), out.shape[1])
