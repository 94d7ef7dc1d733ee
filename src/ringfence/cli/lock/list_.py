"""`ringfence lock list`: the locks that are held."""

from __future__ import annotations

import argparse
import json

from ringfence.cli.lock import options
from ringfence.locks import LockManager
from ringfence.placement.table import table


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `list`."""
    parser = options.add_parser(commands, "list", "list the locks that are held, by whomever", "")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """List the locks."""
    with LockManager.from_url(options.url(given)) as manager:
        held = manager.leases()
    if given.json:
        print(json.dumps({"locks": [holder._asdict() for holder in held]}, ensure_ascii=False, indent=2))
    elif held:
        rows = [(one.name, one.owner, str(one.fence), f"{one.remaining:.1f} s") for one in held]
        print(table(("lock", "owner", "fence", "ends in"), rows, left=2))
    else:
        print("no lock is held")
    return 0
