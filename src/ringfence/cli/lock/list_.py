"""`ringfence lock list`: the locks that are held."""

from __future__ import annotations

import argparse
import json

from ringfence.cli.lock import options
from ringfence.locks import LockManager
from ringfence.locks.stores import Holder, Shared
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
        print(json.dumps({"locks": [_entry(holder) for holder in held]}, ensure_ascii=False, indent=2))
    elif held:
        rows = [(one.name, one.owner, str(one.fence), f"{one.remaining:.1f} s", _shares(one)) for one in held]
        print(table(("lock", "owner", "fence", "ends in", "shares"), rows, left=2))
    else:
        print("no lock is held")
    return 0


def _entry(holder: Holder) -> dict[str, object]:
    name = holder.name
    shares = {"shares": name.asked, "of": name.of} if isinstance(name, Shared) else {}
    return holder._asdict() | shares


def _shares(holder: Holder) -> str:
    return f"{holder.name.asked} of {holder.name.of}" if isinstance(holder.name, Shared) else "1 of 1"
