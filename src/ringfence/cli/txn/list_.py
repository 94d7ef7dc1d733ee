"""`ringfence txn list`: what is in doubt, and what somebody has ended by hand."""

from __future__ import annotations

import argparse
import json
import sys

from ringfence.cli.txn import options
from ringfence.cli.txn.doubt import InDoubt, in_doubt
from ringfence.placement.table import table

MORE = """Nothing is changed. A decision log may be open in the process that decides there.

Exits with 0, and with 1 when a participant could not be asked.

examples:
  ringfence txn list --stores stores.toml
  ringfence txn list --stores stores.toml --decided --prefix main.3. --json
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `list`."""
    parser = options.add_parser(
        commands, "list", "list transactions that are prepared somewhere, and heuristic outcomes", MORE
    )
    parser.add_argument("--decided", action="store_true", help="list all that was decided, instead")
    parser.add_argument("--prefix", default="", help="only gids that begin so, as 'main.'")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """List them."""
    with options.opened_to_read(given) as stores:
        if given.decided:
            return _print_decided(dict(stores.decisions.decisions(given.prefix)), given.json)
        found, failed = in_doubt(stores, given.prefix)
        heuristics = [each for each in stores.decisions.heuristics() if each.gid.startswith(given.prefix)]
    if given.json:
        entries = {
            "in_doubt": [_entry(each) for each in found],
            "heuristics": [each._asdict() for each in heuristics],
            "failed": {name: str(error) for name, error in failed.items()},
        }
        print(json.dumps(entries, ensure_ascii=False, indent=2))
    else:
        _print_doubt(found)
        for heuristic in heuristics:
            print(f"heuristic: {heuristic}")
    for name, error in failed.items():
        print(f"ringfence: {name!r} could not be asked: {error}", file=sys.stderr)
    return 1 if failed else 0


def _print_decided(decided: dict[str, str], as_json: bool) -> int:
    if as_json:
        print(json.dumps({"decided": decided}, indent=2))
    else:
        for gid, outcome in decided.items():
            print(f"{outcome} {gid}")
    return 0


def _print_doubt(found: list[InDoubt]) -> None:
    if not found:
        print("nothing is in doubt")
        return
    rows = [(each.gid, each.decision or "none", ", ".join(each.prepared), each.next) for each in found]
    print(table(("transaction", "decision", "prepared on", "next"), rows, left=4))


def _entry(each: InDoubt) -> dict[str, object]:
    return {"gid": each.gid, "decision": each.decision, "prepared": each.prepared, "next": each.next}
