"""Checkpoints: what a log says of itself at one moment, as a text that can be signed, sent around and kept.

The format is `tlog-checkpoint` of C2SP, which the checksum database of Go and Sigstore use, too.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple, Self

from ringfence.errors import InvalidValue

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(NamedTuple):
    """The size and root of a log.

    Attributes:
        origin: the name of the log, one line.
        size: how many leaves it has.
        root: the root of its tree, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the three lines that say it.

        Raises:
            InvalidValue: the origin is empty or more than one line.
        """
        if not self.origin or not self.origin.isprintable():
            raise InvalidValue(f"the origin of a log is one line of text, not {self.origin!r}")
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` wrote; lines after the third are for extensions, and not looked at.

        Raises:
            InvalidValue: it is no checkpoint.
        """
        origin, size, root, *_ = [*text.split("\n"), "", "", ""]
        try:
            digest = base64.b64decode(root, validate=True)
        except (binascii.Error, ValueError):
            digest = b""
        if not origin or not _SIZE.fullmatch(size) or len(digest) != 32:
            raise InvalidValue(
                f"{text!r} is no checkpoint: a line each for the log's name, its size, and its root in base64"
            )
        return cls(origin, int(size), digest)
