"""Whether a proof proves what it is said to: all that an auditor needs, without the log.

The algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ringfence.errors import ProofRejected
from ringfence.transactions.merkle.tree import node_hash

_BYTES = 32


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if the tree of `size` leaves under `root` has a leaf of the hash `leaf` at `index`.

    Raises:
        ProofRejected: the proof does not show it.
    """
    what = f"leaf {index} in the tree of {size}"
    if not 0 <= index < size:
        raise ProofRejected(what, "there is no such leaf")
    _check_hashes(what, leaf, root, *proof)
    found = leaf
    for sibling, left in _climb(what, index, size - 1, proof):
        found = node_hash(sibling, found) if left else node_hash(found, sibling)
    if found != root:
        raise ProofRejected(what, "it leads to another root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if the tree of `new` leaves under `new_root` begins with that of `old` leaves under `old_root`.

    Raises:
        ProofRejected: the proof does not show it; an empty old tree proves nothing.
    """
    what = f"the tree of {old} as the beginning of that of {new}"
    if not 0 < old <= new:
        raise ProofRejected(what, "the old size is from 1 to the new one")
    _check_hashes(what, old_root, new_root, *proof)
    if old == new:
        if proof or old_root != new_root:
            raise ProofRejected(what, "two trees of one size have one root, and need no proof")
        return
    path = (
        [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    )  # the old root is a node of the new tree
    if not path:
        raise ProofRejected(what, "the proof is too short")
    old_found = new_found = path[0]
    for sibling, left in _climb(what, *_above_rights(old - 1, new - 1), path[1:]):
        old_found = node_hash(sibling, old_found) if left else old_found
        new_found = node_hash(sibling, new_found) if left else node_hash(new_found, sibling)
    if old_found != old_root or new_found != new_root:
        raise ProofRejected(what, "it leads to other roots")


def _climb(what: str, position: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the hashes of a proof, and whether each stands to the left, from a node up to the root."""
    for sibling in proof:
        if last == 0:
            raise ProofRejected(what, "the proof is too long")
        left = position & 1 == 1 or position == last
        yield sibling, left
        while left and position and not position & 1:  # on these levels the last node has no sibling
            position, last = position >> 1, last >> 1
        position, last = position >> 1, last >> 1
    if last:
        raise ProofRejected(what, "the proof is too short")


def _above_rights(position: int, last: int) -> tuple[int, int]:
    """Climb to the largest perfect tree that ends where the old tree does."""
    while position & 1:
        position, last = position >> 1, last >> 1
    return position, last


def _check_hashes(what: str, *hashes: bytes) -> None:
    if any(len(digest) != _BYTES for digest in hashes):
        raise ProofRejected(what, f"a hash is {_BYTES} bytes long")
