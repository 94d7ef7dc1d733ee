"""`ringfence txn log verify`: whether a proof holds, or a log is what a checkpoint says."""

from __future__ import annotations

import argparse
import sys

from ringfence.cli.txn import options
from ringfence.cli.txn.log import notes
from ringfence.errors import InvalidValue, ProofRejected
from ringfence.transactions.merkle import Checkpoint, ConsistencyProof, InclusionProof
from ringfence.transactions.merkle.note import Verifier

MORE = """With PROOF it needs no log, only something to trust: --checkpoint, a checkpoint that you have kept (of the
log as it is in a proof of what was decided; the older one, in a proof of growth), or --public, the key that signs
checkpoints; with both, the checkpoint in the proof is signed and the one that you have kept. Without PROOF it reads
the whole log, and looks whether that begins as the checkpoint that you have kept says, which is signed if --public is
given.

Exits with 0 when it holds, and with 1 when it does not.
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `verify`."""
    parser = options.add_parser(
        commands, "verify", "verify a proof, or the whole log", MORE, participants=False
    )
    add = parser.add_argument
    add("proof", nargs="?", metavar="PROOF", help="a file that `prove` has written")
    add("--checkpoint", metavar="FILE", help="a checkpoint that you have kept")
    add("--public", metavar="KEY", help="the public key that the checkpoint is signed with")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Verify it."""
    try:
        print(f"verified: {_verified(given)}")
    except ProofRejected as error:
        print(f"ringfence: {error}", file=sys.stderr)
        return 1
    return 0


def _verified(given: argparse.Namespace) -> str:
    """Return what was shown.

    Raises:
        ProofRejected: it was not.
        InvalidValue: there is nothing to verify, or nothing to trust.
    """
    if given.proof is None:
        return _whole(given)
    kept = Checkpoint.parse(notes.read(given.checkpoint)) if given.checkpoint else None
    text = notes.read(given.proof)
    if text.startswith("old "):
        return _growth(ConsistencyProof.parse(text), kept, given.public)
    return _inclusion(InclusionProof.parse(text), kept, given.public)


def _whole(given: argparse.Namespace) -> str:
    if given.checkpoint is None:
        raise InvalidValue(
            "say what to verify: a PROOF, or the log against a --checkpoint that you have kept"
        )
    kept = _signed(notes.read(given.checkpoint), given.public)
    log = options.decision_log(given)
    log.check(kept)
    return f"the {len(log.tree)} records of {log.origin} begin with the {kept.size} of the checkpoint"


def _inclusion(proof: InclusionProof, kept: Checkpoint | None, public: str | None) -> str:
    if public is not None:
        trusted = _signed(proof.note, public)
    elif kept is not None:
        trusted = kept
    else:
        raise InvalidValue("say what to trust: a --checkpoint that you have kept, or a --public key")
    record = repr(proof.leaf.decode(errors="replace"))
    if kept not in (None, trusted):
        raise ProofRejected(
            f"{record} in {trusted.origin}",
            "the signed checkpoint in the proof is not the one that was kept",
        )
    proof.check(trusted)
    return f"{record} is record {proof.position + 1} of {trusted.size} in {trusted.origin}"


def _growth(proof: ConsistencyProof, kept: Checkpoint | None, public: str | None) -> str:
    if kept is None:
        raise InvalidValue("say which older --checkpoint you have kept")
    new = _signed(proof.note, public)
    proof.check(kept, new)
    return f"{new.origin} has only grown, from {kept.size} records to {new.size}"


def _signed(note: str, public: str | None) -> Checkpoint:
    return Checkpoint.parse(note if public is None else Verifier.parse(public).open(note))
