"""The command line: `python -m ringfence`, and the `ringfence` script."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from ringfence.cli import demo
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
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="ringfence",
        description="Consistent-hash placement, distributed locks and distributed transactions.",
    )
    top.add_argument("--version", action="version", version=f"ringfence {version('ringfence')}")
    demo.add_command(top.add_subparsers(title="commands", metavar="COMMAND", required=True))
    return top
