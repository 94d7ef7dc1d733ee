"""`ringfence txn show`: what is known of one transaction."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ringfence.cli.txn import options
from ringfence.cli.txn.doubt import InDoubt, in_doubt
from ringfence.cli.txn.options import Stores
from ringfence.errors import RingfenceError
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome

MORE = """Nothing is changed, so "unknown" is said of a transaction that has left no trace: it wrote nothing, or can
only come to be aborted. A branch that was alone in its transaction has committed "in one phase", without a decision.

Exits with 0 when it is committed or aborted everywhere, and with 1 when it is not, or not known to be.

example:
  ringfence txn show main.3.1041 --stores stores.toml --json
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `show`."""
    parser = options.add_parser(commands, "show", "show what is known of a transaction", MORE)
    parser.add_argument("gid", metavar="GID", help="the transaction, as main.3.1041")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Show it."""
    Gid.parse(given.gid)
    with options.opened_to_read(given) as stores:
        found, failed = in_doubt(stores, given.gid)
        doubt = next((each for each in found if each.gid == given.gid), None)
        told = {
            "gid": given.gid,
            "decision": stores.decisions.get(given.gid),
            "branches": _branches(stores, given.gid, doubt, failed),
            "next": doubt.next if doubt else None,
            "heuristics": [each._asdict() for each in stores.decisions.heuristics() if each.gid == given.gid],
        }
    if given.json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        _print(told)
    for name, error in failed.items():
        print(f"ringfence: {name!r} could not be asked: {error}", file=sys.stderr)
    return 0 if _over(told) and not failed else 1


def _branches(stores: Stores, gid: str, doubt: InDoubt | None, failed: Any) -> dict[str, str]:
    """What each participant says, if anything."""
    branches = {}
    for name, participant in stores.participants.items():
        if doubt is not None and name in doubt.prepared:
            branches[name] = "prepared"
        elif name not in failed and _settled(participant, gid) is Outcome.COMMITTED:
            branches[name] = "committed in one phase"
    return branches


def _settled(participant: Any, gid: str) -> Outcome | None:
    try:
        settled: Outcome | None = participant.settled(gid)
    except RingfenceError:
        return None
    return settled


def _over(told: dict[str, Any]) -> bool:
    states = told["branches"].values()
    return "prepared" not in states and bool(told["decision"] or states) and not told["heuristics"]


def _print(told: dict[str, Any]) -> None:
    print(f"transaction  {told['gid']}")
    print(f"decision     {told['decision'] or 'unknown'}")
    for name, state in told["branches"].items():
        print(f"branch       {name}: {state}")
    for heuristic in told["heuristics"]:
        print(f"heuristic    {heuristic['branch']}: {heuristic['found']}")
    if told["next"]:
        print(f"next         {told['next']}")
