"""The measured tables and pictures of the documentation are those of docs/benchmarks.json."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.sizes import COUNTS, MAKERS

DATA = json.loads(report.DATA.read_text(encoding="utf-8"))
PAGES = [
    page for page in sorted(report.DOCS.glob("*.md")) if "<!-- measured" in page.read_text(encoding="utf-8")
]
REPORT: dict[str, Any] = {
    "machine_info": {"node": "a-host", "python_version": "3.12.4", "cpu": {"brand_raw": "a processor"}},
    "commit_info": {"id": "abc"},
    "datetime": "2026-01-01",
    "benchmarks": [
        {
            "extra_info": {
                "placement": {"placement": "HashRing", "nodes": 10, "bytes": 5, "batch": 1.23456e-8}
            }
        },
        {"extra_info": {"race": {"what": "x", "ours": "1 ns", "peer": "2 ns", "measured": "2.0x"}}},
        {"extra_info": {}},
    ],
}


def test_pages_with_tables_are_found() -> None:
    assert [page.name for page in PAGES] == ["algorithms.md", "benchmarks.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_those_of_the_data(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert report.rendered(text, DATA) == text, "run: python -m benchmarks.report"
    assert "|" in text


def test_a_table_written_by_hand_is_seen() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    altered = text.replace("| `HashRing` | 1.", "| `HashRing` | 0.", 1)
    assert report.rendered(altered, DATA) == text != altered


def test_every_placement_is_measured_at_every_size() -> None:
    measured = {(row["placement"], row["nodes"]) for row in DATA["placements"]}
    assert measured == {(name, count) for name in MAKERS for count in COUNTS}


def test_nothing_is_kept_of_the_machine() -> None:
    kept = report.reduced(REPORT)
    assert kept == {
        "placements": [{"placement": "HashRing", "nodes": 10, "bytes": 5, "batch": 1.23e-8}],
        "races": [{"what": "x", "ours": "1 ns", "peer": "2 ns", "measured": "2.0x", "python": "3.12"}],
    }
    assert DATA.keys() == kept.keys()
    assert {field for row in DATA["races"] for field in row} == {
        *("what", "ours", "peer", "measured", "target", "ok", "python")
    }


def test_of_two_reports_the_later_counts() -> None:
    one, other = report.reduced(REPORT), report.reduced(REPORT)
    other["placements"][0]["bytes"] = 6
    other["races"].append({"what": "y"})
    merged = report.merged([one, other])
    assert [row["bytes"] for row in merged["placements"]] == [6]
    assert [row["what"] for row in merged["races"]] == ["x", "y"]


@pytest.mark.parametrize("name", ["placements.svg", "look-ups.svg"])
def test_the_pictures_are_drawn_from_the_data(name: str, tmp_path: Path) -> None:
    plots: Any = pytest.importorskip("benchmarks.plots")
    plots.draw(DATA["placements"], tmp_path)
    committed, drawn = ((folder / name).read_text(encoding="utf-8") for folder in (report.DOCS, tmp_path))
    assert len(committed) < 100_000
    assert words(committed) == words(drawn)
    assert set(MAKERS) <= set(words(committed))


def words(picture: str) -> list[str]:
    """Return the titles and names in a picture; how the axes are numbered is matplotlib's own."""
    return re.findall(r">([^<]*[A-Za-z][^<]*)</text>", picture)


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 µs"), (7.891e-9, "7.89 ns")]
)
def test_times_have_fitting_units(seconds: float, text: str) -> None:
    assert report.shown(seconds) == text
