"""The command line: `python -m ringfence`, and the `ringfence` script."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from ringfence.cli import demo, lock, ring, txn
from ringfence.errors import RingfenceError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 for success, 1 for a failed check, 2 for a bad request."""
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except RingfenceError as error:
        print(f"ringfence: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads the output has enough of it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return 141
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="ringfence",
        description="Consistent-hash placement, distributed locks and distributed transactions.",
    )
    top.add_argument("--version", action="version", version=f"ringfence {version('ringfence')}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo.add_command(commands)
    ring.add_command(commands)
    lock.add_command(commands)
    txn.add_command(commands)
    return top
