"""What the commands about locks have in common: which store, and how many seconds."""

from __future__ import annotations

import argparse
import math

from ringfence.errors import InvalidValue

Commands = argparse._SubParsersAction


def add_parser(
    commands: Commands[argparse.ArgumentParser], name: str, words: str, more: str
) -> argparse.ArgumentParser:
    """Add a command that is about the locks of a store.

    Args:
        commands: where to add it.
        name: of the command.
        words: what it does, in a line.
        more: what to say below its options.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=words,
        description=words[0].upper() + words[1:] + ".",
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", required=True, help="where the locks are, as sqlite:////var/lib/locks.db")
    return parser


def url(given: argparse.Namespace) -> str:
    """Return the URL of the store.

    Raises:
        InvalidValue: it is one in memory, which no other process sees.
    """
    found: str = given.url
    if found.startswith("memory:"):
        raise InvalidValue(
            f"{found!r} lives inside one process, so it locks nothing here; name a store that processes "
            "share, as sqlite:////var/lib/locks.db"
        )
    return found


def seconds(text: str) -> float:
    """Return a number of seconds, 0 or more."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds from 0 on")
    return number
