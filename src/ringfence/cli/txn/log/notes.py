"""Checkpoints and keys in files."""

from __future__ import annotations

from pathlib import Path

from ringfence.errors import InvalidValue
from ringfence.transactions.merkle import Checkpoint
from ringfence.transactions.merkle.note import Signer


def read(path: str) -> str:
    """Return a text file.

    Raises:
        InvalidValue: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InvalidValue(f"{path!r} cannot be read: {error}") from error


def signed(checkpoint: Checkpoint, key: str | None) -> str:
    """Return the text of a checkpoint, signed if there is the file of a secret key.

    Raises:
        InvalidValue: there is no such key in it.
        BackendUnavailable: `cryptography` is not installed.
    """
    text = checkpoint.text()
    return text if key is None else Signer.parse(read(key).strip()).sign(text)
