"""Proofs as texts, which carry the checkpoint that they are about.

That of an inclusion is C2SP's `tlog-proof`, with the leaf as its extra data; that of a consistency is what C2SP's
`tlog-witness` has sent to a witness: `add-checkpoint`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import NamedTuple, Self

from ringfence.errors import InvalidValue, ProofRejected
from ringfence.transactions.merkle.checkpoint import Checkpoint
from ringfence.transactions.merkle.proofs import verify_consistency, verify_inclusion
from ringfence.transactions.merkle.tree import leaf_hash

_INCLUSION = re.compile(
    r"c2sp\.org/tlog-proof@v1\nextra (\S+)\nindex (0|[1-9][0-9]{0,18})\n((?:\S+\n)*)\n(.+)", re.S
)
_CONSISTENCY = re.compile(r"old (0|[1-9][0-9]{0,18})\n((?:\S+\n)*)\n(.+)", re.S)


class InclusionProof(NamedTuple):
    """That a leaf is in the tree of a checkpoint.

    Attributes:
        leaf: what is there.
        position: where.
        hashes: the proof.
        note: the checkpoint, signed or not.
    """

    leaf: bytes
    position: int
    hashes: Sequence[bytes]
    note: str

    def text(self) -> str:
        """Return it as a text."""
        extra = base64.b64encode(self.leaf).decode()
        return f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex {self.position}\n{_lines(self.hashes)}\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` wrote.

        Raises:
            InvalidValue: it is no such proof.
        """
        found = _INCLUSION.fullmatch(text)
        if found is None:
            raise InvalidValue(
                "that is no proof of an inclusion: it begins with c2sp.org/tlog-proof@v1 and extra"
            )
        return cls(_decoded(found[1]), int(found[2]), _hashes(found[3]), found[4])

    def check(self, checkpoint: Checkpoint) -> None:
        """Return if the leaf is in the tree of a checkpoint that is trusted.

        Raises:
            ProofRejected: the proof does not show it.
        """
        verify_inclusion(leaf_hash(self.leaf), self.position, checkpoint.size, self.hashes, checkpoint.root)


class ConsistencyProof(NamedTuple):
    """That the tree of a checkpoint begins with that of an older one.

    Attributes:
        old: the size of the older one.
        hashes: the proof.
        note: the newer checkpoint, signed or not.
    """

    old: int
    hashes: Sequence[bytes]
    note: str

    def text(self) -> str:
        """Return it as a text."""
        return f"old {self.old}\n{_lines(self.hashes)}\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` wrote.

        Raises:
            InvalidValue: it is no such proof.
        """
        found = _CONSISTENCY.fullmatch(text)
        if found is None:
            raise InvalidValue("that is no proof of a consistency: it begins with the old size, as 'old 42'")
        return cls(int(found[1]), _hashes(found[2]), found[3])

    def check(self, old: Checkpoint, new: Checkpoint) -> None:
        """Return if the log of the new checkpoint, which is trusted as the old one is, has only been added to.

        Raises:
            ProofRejected: the proof does not show it.
        """
        what = f"{new.origin!r} as it was at {old.size} records, in itself at {new.size}"
        if old.origin != new.origin:
            raise ProofRejected(what, f"the old checkpoint is of another log, {old.origin!r}")
        if self.old != old.size:
            raise ProofRejected(what, f"the proof is about {self.old} records")
        if old.size:
            verify_consistency(old.size, new.size, old.root, new.root, self.hashes)


def _lines(hashes: Sequence[bytes]) -> str:
    return "".join(f"{base64.b64encode(digest).decode()}\n" for digest in hashes)


def _hashes(lines: str) -> list[bytes]:
    return [_decoded(line) for line in lines.split()]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValue(f"{text!r} in a proof is not base64") from error
