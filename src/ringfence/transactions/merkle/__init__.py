"""A log that cannot be rewritten unnoticed: a Merkle tree, proofs about it, and signed checkpoints of it."""

from ringfence.transactions.merkle.checkpoint import Checkpoint
from ringfence.transactions.merkle.evidence import ConsistencyProof, InclusionProof
from ringfence.transactions.merkle.proofs import verify_consistency, verify_inclusion
from ringfence.transactions.merkle.tree import MerkleTree, leaf_hash

__all__ = [
    "Checkpoint",
    "ConsistencyProof",
    "InclusionProof",
    "MerkleTree",
    "leaf_hash",
    "verify_consistency",
    "verify_inclusion",
]
