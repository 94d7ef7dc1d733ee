"""`ringfence txn log key`: a new key that signs checkpoints."""

from __future__ import annotations

import argparse
import os

from ringfence.errors import InvalidValue
from ringfence.transactions.merkle.note import Signer

MORE = """The secret key is written to FILE, for nobody else to read; the public one is printed. Signing needs the
package `cryptography`: install ringfence[signing].
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `key`."""
    parser = commands.add_parser(
        "key",
        help="make a key that signs checkpoints",
        description="Make a key that signs checkpoints.",
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="of whoever signs, as ledger.example.com")
    parser.add_argument("file", metavar="FILE", help="where the secret key goes; it must not be there yet")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Make it."""
    signer = Signer.generate(given.name)
    try:
        file = os.open(given.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidValue(f"{given.file!r} cannot be made: {error}") from error
    with open(file, "w", encoding="utf-8") as secret:
        secret.write(f"{signer}\n")
    print(signer.verifier())
    return 0
