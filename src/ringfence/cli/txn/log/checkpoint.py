"""`ringfence txn log checkpoint`: what a decision log is now."""

from __future__ import annotations

import argparse

from ringfence.cli.txn import options
from ringfence.cli.txn.log import notes

MORE = """Three lines: the name of the log, how many records it has, and the root of their Merkle tree. Keep it where
whoever could rewrite the log cannot reach it: from then on nothing before it can be changed unnoticed. The process
that decides may have the log open meanwhile.
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `checkpoint`."""
    parser = options.add_parser(commands, "checkpoint", "say what the log is now", MORE, participants=False)
    parser.add_argument(
        "--key", metavar="FILE", help="sign it with the secret key in a file, as `log key` makes it"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Write it."""
    print(notes.signed(options.decision_log(given).checkpoint(), given.key), end="")
    return 0
