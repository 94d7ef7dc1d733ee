"""`ringfence txn resolve`: end one prepared branch by hand."""

from __future__ import annotations

import argparse
import sys

from ringfence.cli.txn import options
from ringfence.cli.txn.options import Stores
from ringfence.errors import InvalidValue
from ringfence.transactions import recovery
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant

MORE = """Use `recover` instead, which never gets this wrong. This is for a branch whose locks cannot wait, as when
the decision store or another participant is lost.

Rolling back is recorded as the decision first, if there is none yet: then all follow it, and nothing is lost but the
transaction. Committing without a decision, or against one, is refused unless --force is given, and so is a transaction
that the decision store never heard of, whose decision stands elsewhere. What --force risks:
this branch commits and the others roll back (or the other way round), so that HALF A TRANSACTION HAS HAPPENED: money
is gone or made from nothing, and no program will mend it. It is recorded as a heuristic outcome, shown by `list`
until `forget`.

Exits with 0 when the branch was ended, and with 1 when it was not.

example:
  ringfence txn resolve main.3.1041 east rollback --stores stores.toml
"""

_OUTCOMES = {"commit": Outcome.COMMITTED, "rollback": Outcome.ABORTED}


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `resolve`."""
    parser = options.add_parser(
        commands, "resolve", "end one prepared branch by hand; `recover` is what you want", MORE
    )
    add = parser.add_argument
    add("gid", metavar="GID", help="the transaction, as main.3.1041")
    add("branch", metavar="BRANCH", help="the participant's name")
    add("how", choices=sorted(_OUTCOMES), help="how to end it")
    add("--force", action="store_true", help="even against the decision, or without one: see below")
    add("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Check, ask, and end it."""
    Gid.parse(given.gid)
    with options.opened(given) as stores:
        if given.branch not in stores.participants:
            raise InvalidValue(
                f"no participant {given.branch!r}; given are: {', '.join(stores.participants)}"
            )
        participant, wanted = stores.participants[given.branch], _OUTCOMES[given.how]
        if given.gid not in participant.recover(given.gid):
            return _refused(f"{given.gid} is not prepared on {given.branch!r}; nothing was changed")
        standing = stores.decisions.get(given.gid)
        risk = _risk(stores, given.gid, wanted, standing)
        if risk and not given.force:
            return _refused(
                f"{risk}. Nothing was changed; `ringfence txn resolve --help` says what --force risks"
            )
        if not (given.yes or _confirmed(given, risk)):
            return _refused("nothing was changed")
        return _end(stores, participant, given, wanted, risk)


def _risk(stores: Stores, gid: str, wanted: Outcome, standing: Outcome | None) -> str:
    """What is wrong with ending it so, if anything."""
    parsed = Gid.parse(gid)
    newest = stores.decisions.epoch(parsed.name)
    if standing is None and parsed.epoch > newest:
        return str(recovery.foreign(parsed, newest))
    if standing is wanted or (standing is None and wanted is Outcome.ABORTED):
        return ""
    if standing is None:
        return f"nothing is decided on {gid}, so recovery will roll its other branches back"
    return f"{gid} is {standing} by decision, and its other branches follow that"


def _end(
    stores: Stores, participant: Participant, given: argparse.Namespace, wanted: Outcome, risk: str
) -> int:
    standing = stores.decisions.get(given.gid)
    if standing is None and wanted is Outcome.ABORTED and not risk:
        standing = stores.decisions.put_if_absent(given.gid, wanted)
    if standing is not wanted:
        if not given.force:
            return _refused(f"{given.gid} was decided meanwhile: {standing}; nothing was changed")
        stores.decisions.report(given.gid, given.branch, f"{wanted} by hand")
    if wanted is Outcome.COMMITTED:
        participant.commit(given.gid)
    else:
        participant.rollback(given.gid)
    print(f"{given.gid} {wanted} on {given.branch}")
    return 0


def _confirmed(given: argparse.Namespace, risk: str) -> bool:
    if not sys.stdin.isatty():
        raise InvalidValue("nobody can be asked here whether to do this; give --yes")
    print(f"{given.gid} is prepared on {given.branch!r}.")
    if risk:
        print(f"WARNING: {risk}. Half a transaction will have happened, for good.")
    return input(f"{given.how.capitalize()} it by hand? [y/N] ").strip().lower() in ("y", "yes")


def _refused(words: str) -> int:
    print(f"ringfence: {words}", file=sys.stderr)
    return 1
