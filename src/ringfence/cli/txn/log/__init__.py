"""`ringfence txn log`: checkpoints of a decision log, proofs from it, and whether they hold."""

from __future__ import annotations

import argparse

from ringfence.cli.txn.log import checkpoint, key, prove, verify

COMMANDS = (checkpoint, prove, verify, key)

EXAMPLES = """examples:
  ringfence txn log checkpoint --decisions file:///var/lib/app/decisions > kept
  ringfence txn log prove main.3.1041 --decisions file:///var/lib/app/decisions > proof
  ringfence txn log prove --since kept --decisions file:///var/lib/app/decisions > growth
  ringfence txn log verify growth --checkpoint kept
  ringfence txn log verify proof --public audit+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `log` and the commands below it."""
    log = commands.add_parser(
        "log",
        help="checkpoints of a decision log, proofs from it, and whether they hold",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = log.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_command(below)
