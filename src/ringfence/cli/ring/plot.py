"""`ringfence ring plot`: the picture of a change."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ringfence.cli.ring import options

EXAMPLES = """examples:
  ringfence ring plot a b c --add d --output plan.svg
  ringfence ring plot --nodes now.json --to then.json --output plan.png
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `plot`."""
    parser = options.add_parser(
        commands, "plot", "draw the load of each node before and after a change, and what moves", EXAMPLES
    )
    options.add_change(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="the picture to write: *.svg or *.png"
    )
    parser.add_argument("--json", action="store_true", help="write the figures of the picture as JSON too")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Draw the picture."""
    change = options.change(given)
    plan = change.migration.plan(change.sizes)
    plan.draw(given.output)
    print(
        json.dumps(plan.as_dict(), ensure_ascii=False, indent=2) if given.json else f"drawn: {given.output}"
    )
    return 0
