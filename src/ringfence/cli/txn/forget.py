"""`ringfence txn forget`: a heuristic outcome that somebody has dealt with."""

from __future__ import annotations

import argparse

from ringfence.cli.txn import options
from ringfence.transactions.gid import Gid

MORE = """The decision stays, and in a decision log so do the records of what was reported and forgotten.

Exits with 0 when something was forgotten, and with 1 when there was nothing.

example:
  ringfence txn forget main.3.1041 --stores stores.toml
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `forget`."""
    parser = options.add_parser(
        commands,
        "forget",
        "drop the heuristic outcomes of a transaction, once you have dealt with them",
        MORE,
    )
    parser.add_argument("gid", metavar="GID", help="the transaction, as main.3.1041")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Forget it."""
    Gid.parse(given.gid)
    with options.opened(given) as stores:
        forgotten = stores.decisions.forget(given.gid)
    print(
        f"forgot the heuristic outcomes of {given.gid}"
        if forgotten
        else f"{given.gid} has no heuristic outcome"
    )
    return 0 if forgotten else 1
