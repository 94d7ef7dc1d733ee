"""`ringfence txn log prove`: that something was decided, or that the log has only grown."""

from __future__ import annotations

import argparse
import sys

from ringfence.cli.txn import options
from ringfence.cli.txn.log import notes
from ringfence.errors import InvalidValue, ProofRejected
from ringfence.transactions.merkle import Checkpoint

MORE = """With GID it proves what was decided on that transaction (C2SP tlog-proof), with --since that the log of an
older checkpoint was only added to. Both carry the checkpoint that they are about: that of --checkpoint, or one of
now.

Exits with 0, and with 1 when a checkpoint is not of this log: it was rewritten, or is another.
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `prove`."""
    parser = options.add_parser(
        commands, "prove", "prove what was decided, or that the log has only grown", MORE, participants=False
    )
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True).add_argument
    what("gid", nargs="?", metavar="GID", help="the transaction, as main.3.1041")
    what("--since", metavar="FILE", help="an older checkpoint")
    add("--checkpoint", metavar="FILE", help="prove it to whoever has this checkpoint")
    add("--key", metavar="FILE", help="sign the checkpoint of now with the secret key in a file")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Write the proof."""
    try:
        print(_proof(given), end="")
    except ProofRejected as error:
        print(f"ringfence: {error}", file=sys.stderr)
        return 1
    return 0


def _proof(given: argparse.Namespace) -> str:
    if given.checkpoint and given.key:
        raise InvalidValue("a checkpoint of old is signed or not as it is; leave out --key, or --checkpoint")
    log = options.decision_log(given)
    note = notes.read(given.checkpoint) if given.checkpoint else notes.signed(log.checkpoint(), given.key)
    if given.since:
        return log.prove_growth(Checkpoint.parse(notes.read(given.since)), note).text()
    return log.prove(given.gid, note).text()
