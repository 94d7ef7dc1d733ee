"""Draw the measured placements: what each costs and how even it is, against the number of nodes."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "HashRing": "#1f6fb2",
    "Maglev": "#d1495b",
    "AnchorHash": "#2e8b57",
    "JumpHash": "#8a5fbf",
    "MultiProbe": "#e08e0b",
    "Rendezvous": "#5a6772",
}
PANELS = (
    ("fullest", "load of the fullest node, as a part of the mean", "linear", 1.0),
    ("needless", "keys moved needlessly by one node more, percent", "linear", 100.0),
    ("bytes", "memory, kilobytes", "log", 1e-3),
    ("build", "making it, milliseconds", "log", 1e3),
)
SPEEDS = (
    ("one_key", "one key, nanoseconds", "log", 1e9),
    ("batch", "a key of a batch, nanoseconds", "log", 1e9),
)
SETTINGS: dict[Any, Any] = {"svg.hashsalt": "ringfence", "svg.fonttype": "none", "font.size": 9}


def draw(rows: list[dict[str, Any]], folder: Path) -> None:
    """Write placements.svg, what each placement is like, and look-ups.svg, what a look-up costs, into a folder."""
    with mpl.rc_context(SETTINGS):
        _write(_figure(rows, PANELS, 2), folder / "placements.svg")
        speeds = _figure(rows, SPEEDS, 1)
        ring = [row for row in rows if row["placement"] == "HashRing"]
        style = {"color": COLOURS["HashRing"], "linestyle": ":", "label": "HashRing, 64 hot keys"}
        _line(speeds.axes[0], ring, "hot_key", 1e9, **style)
        _write(speeds, folder / "look-ups.svg")


def _figure(rows: list[dict[str, Any]], panels: Any, lines: int) -> Figure:
    figure = Figure(figsize=(9, 0.4 + 3.0 * lines), layout="constrained")
    for axes, (what, title, scale, unit) in zip(figure.subplots(lines, 2).flat, panels, strict=True):
        for name, colour in COLOURS.items():
            of_name = [row for row in rows if row["placement"] == name]
            _line(axes, of_name, what, unit, color=colour, marker="o", markersize=3, label=name)
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_xscale("log")
        axes.set_yscale(scale)
        axes.minorticks_off()  # a picture half as large
        axes.grid(color="#e3e8ed")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in figure.axes[-2:]:
        axes.set_xlabel("nodes")
    return figure


def _line(axes: Axes, rows: list[dict[str, Any]], what: str, unit: float, **style: Any) -> None:
    there = [row for row in rows if what in row]
    axes.plot([row["nodes"] for row in there], [unit * row[what] for row in there], **style)


def _write(figure: Figure, file: Path) -> None:
    labelled = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        *labelled, loc="outside lower center", ncols=7, columnspacing=1, handlelength=1.5, frameon=False
    )
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
