"""`ringfence ring plan`: what a change would move."""

from __future__ import annotations

import argparse
import json

import numpy as np

from ringfence.cli.ring import keys, options
from ringfence.placement import Migration

EXAMPLES = f"""With --keys, the keys that would move are counted too.
{keys.HELP}

examples:
  ringfence ring plan a b c --add d
  ringfence ring plan a b c --remove a --weight b=2 --size a=5GB --size b=4GB --size c=6GB
  ringfence ring plan --nodes now.yaml --to then.yaml --keys keys.txt --json
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `plan`."""
    parser = options.add_parser(
        commands, "plan", "show what a change of the ring would move, without doing it", EXAMPLES
    )
    options.add_change(parser)
    parser.add_argument(
        "--keys", metavar="FILE", help="count the keys of a file that move; - is standard input"
    )
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Show the plan."""
    change = options.change(given)
    plan = change.migration.plan(change.sizes)
    counted = {} if given.keys is None else count(change.migration, given.keys)
    if given.json:
        print(json.dumps(plan.as_dict() | counted, ensure_ascii=False, indent=2))
    else:
        print(plan)
        if counted:
            print(f"\n{counted['keys_affected']:,} of {counted['keys']:,} keys move")
    return 0


def count(migration: Migration, path: str) -> dict[str, int]:
    """Return how many keys there are, and how many of them move."""
    total = moving = 0
    with keys.batches(path) as batches:
        for batch in batches:
            total += len(batch)
            moving += int(np.count_nonzero(migration.affected(batch)))
    return {"keys": total, "keys_affected": moving}
