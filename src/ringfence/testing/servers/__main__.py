"""The command `python -m ringfence.testing.servers`: have the servers at hand before tests need them."""

from __future__ import annotations

import argparse
import sys

from ringfence.errors import BackendUnavailable
from ringfence.testing.servers import KINDS, programs


def main(arguments: list[str] | None = None) -> int:
    """Say where the programs of each server are; download those that are missing.

    Returns:
        0 when all are there, 1 when one cannot be had.
    """
    parser = argparse.ArgumentParser(prog="python -m ringfence.testing.servers", description=main.__doc__)
    parser.add_argument("what", choices=["fetch"])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"any of {', '.join(KINDS)}; default: all")
    options = parser.parse_args(arguments)
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"no server {', '.join(sorted(unknown))}; known: {', '.join(KINDS)}")
    return fetch(options.kinds or list(KINDS))


def fetch(kinds: list[str]) -> int:
    """Look for each server, download what is missing, and tell."""
    try:
        for kind in kinds:
            needed = KINDS[kind].needed
            found = programs.find(needed)
            print(f"{kind}: {found.program(*needed.programs[0])}", flush=True)
    except BackendUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
