"""Write the measured tables and plots of the documentation: `python -m benchmarks.report [BENCHMARK.json...]`.

Given what `pytest --benchmark-json` wrote, keeps of it what the documentation shows, and nothing about the machine, in
docs/benchmarks.json; of several files the later ones count where they measured the same. Then, or at once without an
argument, writes the tables between the markers of docs/*.md and the plots anew from docs/benchmarks.json.

`make tables` does all of it: on a quiet machine, half an hour at most.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
DATA = DOCS / "benchmarks.json"
MARKED = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SHOWN = (10, 100, 1000, 10_000)

Json = dict[str, Any]


def main(files: list[str]) -> None:
    """Bring data, tables and plots up to date."""
    if files:
        found = [reduced(json.loads(Path(file).read_text(encoding="utf-8"))) for file in files]
        DATA.write_text(json.dumps(merged(found), indent=1) + "\n", encoding="utf-8")
    data = json.loads(DATA.read_text(encoding="utf-8"))
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(rendered(text, data), encoding="utf-8")
    from benchmarks.plots import draw

    draw(data["placements"], DOCS)


def reduced(report: Json) -> Json:
    """Keep of a report what is shown."""
    python = ".".join(report["machine_info"]["python_version"].split(".")[:2])
    infos = [benchmark["extra_info"] for benchmark in report["benchmarks"]]
    return {
        "placements": [rounded(info["placement"]) for info in infos if "placement" in info],
        "races": [{**info["race"], "python": python} for info in infos if "race" in info],
    }


def rounded(measured: Json) -> Json:
    """Round figures to the digits that mean anything."""
    return {name: float(f"{x:.3g}") if isinstance(x, float) else x for name, x in measured.items()}


def merged(reports: list[Json]) -> Json:
    """Join reports; of what several measured, the last counts."""
    placements = {(row["placement"], row["nodes"]): row for report in reports for row in report["placements"]}
    races = {row["what"]: row for report in reports for row in report["races"]}
    return {"placements": list(placements.values()), "races": list(races.values())}


def rendered(page: str, data: Json) -> str:
    """Return a page with its tables written anew."""
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]](data)}\n\n{found[3]}", page)


def placements(data: Json) -> str:
    """Return the table of placements by their number of nodes."""
    heads = [
        "nodes",
        "placement",
        "fullest",
        "emptiest",
        "moved",
        "needless",
        "bytes",
        "build",
        "one key",
        "batch",
    ]
    rows = [
        cells(row)
        for row in sorted(data["placements"], key=lambda row: row["nodes"])
        if row["nodes"] in SHOWN
    ]
    return table(heads, "rlrrrrrrrr", rows)


def cells(row: Json) -> list[str]:
    """Return one row of the table of placements."""
    return [
        f"{row['nodes']:,}",
        f"`{row['placement']}`",
        *(f"{row[name]:.2f}" if name in row else "-" for name in ("fullest", "emptiest", "moved")),
        f"{row['needless']:.2%}" if "needless" in row else "-",
        f"{row['bytes']:,}",
        *(shown(row[name]) for name in ("build", "one_key", "batch")),
    ]


def races(data: Json) -> str:
    """Return the table of races against peers."""
    heads = ["what", "ringfence", "the peer", "measured", "target", "CPython"]
    rows = [
        [row[name] for name in ("what", "ours", "peer", "measured", "target", "python")]
        for row in data["races"]
    ]
    return table(heads, "lrrrrr", rows)


def table(heads: list[str], sides: str, rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    rule = ["--:" if side == "r" else "---" for side in sides]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def shown(seconds: float) -> str:
    """Write a time with a fitting unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


TABLES = {"placements": placements, "races": races}

if __name__ == "__main__":
    main(sys.argv[1:])
