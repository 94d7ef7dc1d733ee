"""`ringfence ring load`: how much each node has."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from ringfence.cli.ring import keys, options
from ringfence.placement import HashRing
from ringfence.placement.table import percent, table

EXAMPLES = f"""Without --keys the exact parts of the hash space are shown; with it, keys are counted.
{keys.HELP}

examples:
  ringfence ring load a=2.5 b c
  ringfence ring load --nodes nodes.yaml --keys keys.txt --json
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `load`."""
    parser = options.add_parser(
        commands, "load", "show how much each node has, and how much it should have by its weight", EXAMPLES
    )
    parser.add_argument("--keys", metavar="FILE", help="count the keys of a file; - is standard input")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Show the load."""
    ring = options.ring(given)
    counted = None if given.keys is None else count(ring, given.keys)
    found = rows(ring, counted)
    print(json.dumps({"nodes": found}, ensure_ascii=False, indent=2) if given.json else shown(found))
    return 0


def count(ring: HashRing, path: str) -> list[int]:
    """Return how many keys each node has."""
    counts = np.zeros(len(ring), np.int64)
    with keys.batches(path) as batches:
        for batch in batches:
            counts += np.bincount(ring.lookup_many(batch), minlength=len(ring))
    found: list[int] = counts.tolist()
    return found


def rows(ring: HashRing, counted: list[int] | None) -> list[dict[str, Any]]:
    """Return the figures of each node, by name; `keys` only where they were counted."""
    ideal = options.ideal(ring)
    if counted is None:
        parts = [{"part": float(part)} for part in ring.load().values()]
    else:
        total = max(1, sum(counted))
        parts = [{"part": keys / total, "keys": keys} for keys in counted]
    return [
        {"name": name, "weight": ring.node(name).weight, "ideal": ideal[name], **part}
        for name, part in zip(ring.nodes, parts, strict=True)
    ]


def shown(found: list[dict[str, Any]]) -> str:
    """Return a table, and how much the fullest node has over its ideal."""
    counted = "keys" in found[0]
    head = ["node", "weight", "ideal", "part", "of ideal", *(["keys"] if counted else [])]
    lines = [
        [row["name"], f"{row['weight']:g}", percent(row["ideal"]), percent(row["part"]),
         f"{row['part'] / row['ideal']:.3f}", *([f"{row['keys']:,}"] if counted else [])]
        for row in found
    ]  # fmt: skip
    fullest = max(found, key=lambda row: row["part"] / row["ideal"])
    return f"{table(head, lines)}\n\nfullest: {fullest['name']}, {fullest['part'] / fullest['ideal']:.3f} of its ideal"
