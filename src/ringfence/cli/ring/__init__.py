"""`ringfence ring`: who owns which key, how even the load is, and what a change would move."""

from __future__ import annotations

import argparse

from ringfence.cli.ring import load, lookup, plan, plot

COMMANDS = (lookup, load, plan, plot)

EXAMPLES = """examples:
  ringfence ring lookup a b c --keys keys.txt
  ringfence ring load a=2.5 b c
  ringfence ring plan --nodes nodes.yaml --add d --remove a
  ringfence ring plot a b c --add d --output plan.svg
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ring` and the commands below it."""
    ring = commands.add_parser(
        "ring",
        help="look up keys, show the load, plan a change of the ring",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = ring.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_command(below)
