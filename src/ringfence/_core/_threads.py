"""Split a batch over threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

FEWEST = 1 << 14
"""A part of fewer rows is not worth a thread."""


def split(work: Callable[[int, int], None], rows: int, threads: int) -> None:
    """Call `work(start, stop)` for even parts of the rows, one to a thread; raise what the first part raised."""
    parts = min(threads, rows // FEWEST)
    if parts <= 1:
        work(0, rows)
        return
    ends = [rows * part // parts for part in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, ends[:-1], ends[1:]))
