"""The picture of a plan: the load of each node before and after, and what moves from where to where."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ringfence.errors import BackendUnavailable, InvalidValue

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ringfence.placement.plan import Plan

FORMATS = (".svg", ".png")
LABELLED = 60
"""So many nodes have their names beside the bars; of more, only some have."""

CELLS = 12
"""Up to so many nodes, what moves is also written into the squares."""

_BEFORE, _AFTER, _INK, _GRID = "#b8c4d0", "#1f6fb2", "#26323d", "#e3e8ed"
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "ringfence",  # the same plan gives the same bytes
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.parse_math": False,  # a node may be named "$a$"
}


def draw(plan: Plan, path: str | PathLike[str]) -> None:
    """Write the picture of a plan into a file; `Plan.draw` says more."""
    file = Path(fspath(path))
    if file.suffix.lower() not in FORMATS:
        raise InvalidValue(f"a picture is a file named *.svg or *.png, not {str(file)!r}")
    if not plan.nodes:
        raise InvalidValue("neither placement has a node, so there is nothing to draw")
    try:
        import matplotlib
    except ImportError:
        raise BackendUnavailable(
            "pictures are drawn with matplotlib, which is not installed: pip install 'ringfence[plot]'"
        ) from None
    with matplotlib.rc_context(_SETTINGS):
        _write(_figure(plan), file)


def _write(figure: Figure, file: Path) -> None:
    kind = file.suffix.lower()[1:]
    metadata = {"Date": None} if kind == "svg" else {}
    try:
        figure.savefig(file, format=kind, dpi=150, metadata=metadata)
    except OSError as error:
        raise InvalidValue(f"the picture {str(file)!r} cannot be written: {error.strerror}") from error


def _figure(plan: Plan) -> Figure:
    from matplotlib.figure import Figure

    height = 2.2 + 0.3 * min(len(plan.nodes), LABELLED)
    figure = Figure(figsize=(12 if plan.transfers else 7, max(3.6, height)), layout="constrained")
    figure.suptitle(plan.headline(), x=0.01, ha="left", fontsize=13, fontweight="bold")
    if plan.transfers:
        bars, squares = figure.subplots(1, 2, width_ratios=(1.15, 1))
        _squares(squares, plan)
    else:
        bars = figure.subplots()
    _bars(bars, plan)
    return figure


def _bars(axes: Axes, plan: Plan) -> None:
    names = [node.name for node in plan.nodes]
    rows = np.arange(len(names))
    before = np.array([float(node.before or 0) for node in plan.nodes])
    after = np.array([float(node.after or 0) for node in plan.nodes])
    axes.barh(rows - 0.2, before, 0.38, color=_BEFORE, label="before")
    axes.barh(rows + 0.2, after, 0.38, color=_AFTER, label="after")
    axes.set_xlabel("part of the keys")
    if len(names) <= LABELLED:
        axes.set_xlabel("part of the keys, and its change in points")
        _write_changes(axes, before, after)
    _label(axes, "y", names)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first on top
    axes.set_xlim(0, 1.18 * max(before.max(), after.max()))
    axes.xaxis.set_major_formatter(lambda part, _: f"{part:.3%}".rstrip("0%").rstrip(".") + "%")
    axes.set_title("load of each node", loc="left", fontsize=11)
    axes.grid(axis="x", color=_GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0.2)


def _write_changes(axes: Axes, before: Any, after: Any) -> None:
    for row, (one, other) in enumerate(zip(before, after, strict=True)):
        change = f"{100 * (other - one):+.2f}" if one != other else "±0"
        axes.annotate(
            change, (max(one, other), row), (5, 0), textcoords="offset points", va="center", fontsize=9
        )


def _squares(axes: Axes, plan: Plan) -> None:
    sources = sorted({transfer.source or "" for transfer in plan.transfers})
    targets = sorted({transfer.target or "" for transfer in plan.transfers})
    parts = np.full((len(sources), len(targets)), np.nan)
    for source, target, part, _ in plan.transfers:
        parts[sources.index(source or ""), targets.index(target or "")] = float(part)
    image = axes.imshow(parts, cmap="Blues", vmin=0, aspect="auto")
    if max(parts.shape) <= CELLS:
        _write_parts(axes, parts)
    elif axes.figure is not None:
        axes.figure.colorbar(image, ax=axes, format=lambda part, _: f"{100 * part:.3f}", fraction=0.06)
    _label(axes, "y", [name or "no node" for name in sources])
    _label(axes, "x", [name or "no node" for name in targets])
    axes.set_title("part of the keys that moves, in percent", loc="left", fontsize=11)
    axes.set_xlabel("to")
    axes.set_ylabel("from")
    axes.spines[:].set_color(_GRID)
    axes.tick_params(length=0)


def _write_parts(axes: Axes, parts: Any) -> None:
    darkest = np.nanmax(parts)
    for row, column in zip(*np.nonzero(~np.isnan(parts)), strict=True):
        part = parts[row, column]
        colour = "white" if part > 0.6 * darkest else _INK
        axes.text(column, row, f"{100 * part:.2f}", ha="center", va="center", fontsize=9, color=colour)


def _label(axes: Axes, side: str, names: list[str]) -> None:
    most, longest = (LABELLED, 24) if side == "y" else (LABELLED // 3, 18)
    step = -(-len(names) // most)
    at, shown = range(0, len(names), step), [_shortened(name, longest) for name in names[::step]]
    if side == "y":
        axes.set_yticks(at, shown)
    else:
        axes.set_xticks(at, shown, rotation=90 if sum(map(len, shown)) > 40 else 0)


def _shortened(name: str, longest: int) -> str:
    """Return a name without its middle where it is too long: names of one system differ at their ends."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"
