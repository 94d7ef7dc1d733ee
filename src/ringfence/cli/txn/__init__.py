"""`ringfence txn`: what is in doubt, recovery, branches ended by hand, and proofs of what was decided."""

from __future__ import annotations

import argparse

from ringfence.cli.txn import forget, list_, log, recover, resolve, show

COMMANDS = (list_, show, recover, resolve, forget, log)

EXAMPLES = """exit codes:
  0  it was done, or what was asked for holds
  1  it does not: something is in doubt, was not done, or is not proved; each command says when
  2  wrong arguments, or a store failed

examples:
  ringfence txn list --decisions sqlite:////var/lib/app/decisions.db \\
      --participant east=sqlite:////var/lib/app/east.db --participant west=sqlite:////var/lib/app/west.db
  ringfence txn list --stores /etc/app/stores.toml --json
  ringfence txn recover --stores /etc/app/stores.toml --watch
  ringfence txn log checkpoint --decisions file:///var/lib/app/decisions > yesterday.checkpoint

A file for --stores keeps passwords out of the list of processes:
  decisions = "postgresql://app:secret@db1/app"
  [participants]
  east = "postgresql://app:secret@db1/app"
  west = "postgresql://app:secret@db2/app"
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `txn` and the commands below it."""
    txn = commands.add_parser(
        "txn",
        help="what is in doubt, recovery, branches ended by hand, and proofs of what was decided",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = txn.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_command(below)
