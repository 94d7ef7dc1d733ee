"""`ringfence lock`: run a command under a lock, list the locks that are held, break one."""

from __future__ import annotations

import argparse

from ringfence.cli.lock import break_, list_, run

COMMANDS = (run, list_, break_)

EXAMPLES = """examples:
  ringfence lock run backup --url sqlite:////var/lib/locks.db --no-wait -- pg_dump app -f app.sql
  ringfence lock list --url sqlite:////var/lib/locks.db
  ringfence lock break backup --url sqlite:////var/lib/locks.db
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `lock` and the commands below it."""
    lock = commands.add_parser(
        "lock",
        help="run a command under a lock, list the locks that are held, break one",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = lock.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_command(below)
