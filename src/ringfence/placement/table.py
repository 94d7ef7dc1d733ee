"""Tables of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Return columns two blanks apart, the first `left` of them flush left, the others flush right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(line, widths, left) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], left: int) -> str:
    pairs = enumerate(zip(cells, widths, strict=True))
    return "  ".join(f"{cell:{'<' if at < left else '>'}{width}}" for at, (cell, width) in pairs).rstrip()


def percent(part: float) -> str:
    """Return a part of 1 in percent, to a hundredth."""
    return f"{part:.2%}"


def in_bytes(count: float) -> str:
    """Return a number of bytes in the largest decimal unit that leaves at least one before the point."""
    for unit in _UNITS:
        if abs(count) < 999.95 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
