"""The tree and its proofs: the vectors of transparency-dev, and every proof of small trees against the definition."""

import json
import random
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ringfence.errors import InvalidType, InvalidValue, ProofRejected
from ringfence.transactions.merkle import MerkleTree, leaf_hash, verify_consistency, verify_inclusion
from ringfence.transactions.merkle.tree import node_hash

VECTORS: Any = json.loads((Path(__file__).parents[2] / "vectors" / "merkle_rfc6962.json").read_text())
LEAVES = [bytes.fromhex(leaf) for leaf in VECTORS["leaf_inputs"]]


def grown(count: int) -> MerkleTree:
    tree = MerkleTree()
    for number in range(count):
        tree.append(b"%d" % number)
    return tree


def defined(leaves: list[bytes]) -> bytes:
    """Return the root by the very words of RFC 6962, section 2.1."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    middle = max(2**k for k in range(64) if 2**k < len(leaves))
    return node_hash(defined(leaves[:middle]), defined(leaves[middle:]))


def unhex(case: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(digest) for digest in case["proof"] or []]


def test_hashes_are_those_of_the_vectors() -> None:
    empty, *leaves, node = VECTORS["hasher"]
    assert MerkleTree().root().hex() == empty["hash"]
    assert [leaf_hash(bytes.fromhex(case["leaf"])).hex() for case in leaves] == [
        case["hash"] for case in leaves
    ]
    assert node_hash(bytes.fromhex(node["left"]), bytes.fromhex(node["right"])).hex() == node["hash"]


def test_roots_of_all_sizes_are_those_of_the_vectors() -> None:
    tree = MerkleTree()
    roots = [tree.root().hex()]
    for index, leaf in enumerate(LEAVES):
        assert tree.append(leaf) == index
        roots.append(tree.root().hex())
    assert roots == VECTORS["roots"]
    assert [tree.root(size).hex() for size in range(9)] == VECTORS["roots"]


def test_proofs_are_those_of_the_vectors() -> None:
    tree = MerkleTree()
    for leaf in LEAVES:
        tree.append(leaf)
    for case in VECTORS["inclusion_generated"]:
        assert tree.inclusion(case["leaf_index"], case["tree_size"]) == unhex(case)
    for case in VECTORS["consistency_generated"]:
        assert tree.consistency(case["size1"], case["size2"]) == unhex(case)


def accepted(verify: Any, *arguments: Any) -> bool:
    try:
        verify(*arguments)
    except ProofRejected:
        return False
    return True


@pytest.mark.parametrize(
    "case", VECTORS["inclusion"], ids=lambda case: case["file"][len("testdata/") : -len(".json")]
)
def test_an_inclusion_is_judged_as_in_the_vectors(case: dict[str, Any]) -> None:
    leaf, root = bytes.fromhex(case["leaf_hash"]), bytes.fromhex(case["root"])
    judged = accepted(verify_inclusion, leaf, case["leaf_index"], case["tree_size"], unhex(case), root)
    assert judged is not case["want_err"]


@pytest.mark.parametrize(
    "case", VECTORS["consistency"], ids=lambda case: case["file"][len("testdata/") : -len(".json")]
)
def test_a_consistency_is_judged_as_in_the_vectors(case: dict[str, Any]) -> None:
    roots = bytes.fromhex(case["root1"]), bytes.fromhex(case["root2"])
    judged = accepted(verify_consistency, case["size1"], case["size2"], *roots, unhex(case))
    assert judged is not case["want_err"]


def test_roots_are_as_defined() -> None:
    tree = grown(70)
    leaves = [b"%d" % number for number in range(70)]
    assert [tree.root(size) for size in range(71)] == [defined(leaves[:size]) for size in range(71)]


def test_every_proof_of_small_trees_holds() -> None:
    tree = grown(40)
    for new in range(1, 41):
        for index in range(new):
            proof = tree.inclusion(index, new)
            verify_inclusion(leaf_hash(b"%d" % index), index, new, proof, tree.root(new))
            verify_consistency(
                index + 1, new, tree.root(index + 1), tree.root(new), tree.consistency(index + 1, new)
            )


def test_a_proof_holds_for_nothing_else() -> None:
    tree = grown(21)
    for index in range(21):
        proof, leaf = tree.inclusion(index), leaf_hash(b"%d" % index)
        others = [other for other in range(21) if other != index]
        assert not any(accepted(verify_inclusion, leaf, other, 21, proof, tree.root()) for other in others)
        assert not accepted(verify_inclusion, leaf_hash(b"x"), index, 21, proof, tree.root())
        assert not accepted(verify_inclusion, leaf, index, 21, [*proof, proof[-1]], tree.root())
        assert not accepted(verify_inclusion, leaf, index, 21, proof[:-1], tree.root())


def test_a_log_that_was_rewritten_is_not_consistent() -> None:
    rng = random.Random(1)
    for _ in range(200):
        new = rng.randrange(2, 60)
        old = rng.randrange(1, new + 1)
        rewritten = rng.randrange(old)
        honest, other = grown(new), MerkleTree()
        for number in range(new):
            other.append(b"forged" if number == rewritten else b"%d" % number)
        proof = other.consistency(old)
        assert not accepted(verify_consistency, old, new, honest.root(old), other.root(), proof)


def test_any_damaged_hash_is_found() -> None:
    tree = grown(13)
    for old, new in pairwise([3, 7, 8, 12, 13]):
        proof = tree.consistency(old, new)
        for place, digest in enumerate(proof):
            damaged = [*proof[:place], bytes([digest[0] ^ 1]) + digest[1:], *proof[place + 1 :]]
            assert not accepted(verify_consistency, old, new, tree.root(old), tree.root(new), damaged)


def test_what_never_was_cannot_be_proved() -> None:
    tree = grown(5)
    with pytest.raises(InvalidValue, match="has never had 6"):
        tree.root(6)
    with pytest.raises(InvalidValue, match="no leaf 5 in a tree of 5"):
        tree.inclusion(5)
    with pytest.raises(InvalidValue, match="no leaf -1"):
        tree.inclusion(-1)
    with pytest.raises(InvalidValue, match="from size 0 to 5"):
        tree.consistency(0)
    with pytest.raises(InvalidValue, match="from size 4 to 3"):
        tree.consistency(4, 3)
    with pytest.raises(InvalidType, match="a leaf is bytes, not 'a'"):
        tree.append("a")  # type: ignore[arg-type]
