"""Weighted rendezvous hashing, interpreted; `_kernel_scores.pxd` holds the same names, compiled.

The score of a node of weight `w` for a hash is `w / -ln(u)`, where `u` is `mix64(hash ^ seed)` scaled to
0 < u < 1 by its high 52 bits: `((x >> 12) + 0.5) / 2**52`. The highest score owns; of equal ones the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence._core._kernel_array import Indices, Words
from ringfence._core._kernel_hash import mix_many

Weights = NDArray[np.float64]

_ROWS = 1 << 20
"""How many scores are held at once."""


def weights_of(array: Weights) -> Weights:
    """View an array of weights."""
    return array


def highest(h: int, seeds: list[int], weights: Weights, count: int) -> int:  # noqa: ARG001 as the compiled twin has it
    """Return the index of the node with the highest score."""
    return int(_scores(np.array([h], np.uint64), np.array(seeds, np.uint64), weights)[0].argmax())


def highest_many(hashes: Words, seeds: Words, weights: Weights, out: Indices) -> None:
    """Put the node with the highest score for each hash into `out`; compiled, without the GIL."""
    step = max(1, _ROWS // len(seeds))
    for at in range(0, len(hashes), step):
        out[at : at + step] = _scores(hashes[at : at + step], seeds, weights).argmax(axis=1)


def scores_ranked(
    h: int, seeds: list[int], weights: Weights, names: tuple[str, ...], wanted: int
) -> tuple[str, ...]:
    """Return the names of the `wanted` highest scores, falling."""
    out: Indices = np.empty((1, wanted), np.uint32)
    scores_rows(np.array([h], np.uint64), np.array(seeds, np.uint64), weights, out)
    return tuple(names[owner] for owner in out[0].tolist())


def scores_rows(hashes: Words, seeds: Words, weights: Weights, out: Indices) -> None:
    """Put the nodes with the highest scores, falling, into the row of each hash; compiled, without the GIL."""
    step = max(1, _ROWS // len(seeds))
    for at in range(0, len(hashes), step):
        order = np.argsort(-_scores(hashes[at : at + step], seeds, weights), axis=1, kind="stable")
        out[at : at + step] = order[:, : out.shape[1]]


def _scores(hashes: Words, seeds: Words, weights: Weights) -> NDArray[Any]:
    mixed: Words = hashes[:, None] ^ seeds
    mix_many(mixed, mixed)
    uniform = ((mixed >> np.uint64(12)).astype(np.float64) + 0.5) / 4503599627370496.0
    scores: NDArray[Any] = weights / -np.log(uniform)
    return scores
