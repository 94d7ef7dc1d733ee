"""A Merkle tree that grows at its end, and proves what it was at any size it has had.

The tree of RFC 6962 section 2.1 (unchanged in RFC 9162): the hash of a leaf is SHA-256 of a zero byte and the leaf,
that of a node is SHA-256 of a one byte and the hashes of its two children, of which the left one is the largest perfect
tree that leaves something for the right one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from hashlib import sha256

from ringfence.errors import InvalidType, InvalidValue

Place = tuple[int, int]
"""Of a perfect subtree: `(k, i)` is the one over the 2**k leaves from `i * 2**k` on."""

EMPTY = sha256().digest()
"""The root of a tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf, 32 bytes."""
    return sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node, 32 bytes."""
    return sha256(b"\1" + left + right).digest()


class Tree(ABC):
    """Roots and proofs of a tree of any size it has had, made of its perfect subtrees."""

    @abstractmethod
    def __len__(self) -> int:
        """How many leaves it has."""

    @abstractmethod
    def perfect(self, level: int, index: int) -> bytes:
        """The hash of a perfect subtree that it has: of `2**level` leaves, from leaf `index * 2**level` on."""

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the tree as it was when it had `size` leaves; as it is by default.

        Raises:
            InvalidValue: it has never had that size.
        """
        size = self._size(size)
        return self._hash(0, size) if size else EMPTY

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the proof that a leaf is in the tree of a size: `PATH` of RFC 6962 section 2.1.1.

        Raises:
            InvalidValue: the tree has never had that size, or no such leaf at it.
        """
        size = self._size(size)
        if not 0 <= index < size:
            raise InvalidValue(f"there is no leaf {index} in a tree of {size}")
        return self._path(index, 0, size)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Return the proof that the tree of one size begins with that of an older one: `PROOF` of section 2.1.2.

        Raises:
            InvalidValue: the tree has never had one of the sizes, or the old one is 0 or greater than the new one.
        """
        new = self._size(new)
        if not 0 < old <= new:
            raise InvalidValue(f"a proof from size {old} to {new}: the old size is from 1 to the new one")
        return self._subproof(old, 0, new, whole=True)

    def _size(self, size: int | None) -> int:
        size = len(self) if size is None else size
        if not 0 <= size <= len(self):
            raise InvalidValue(f"the tree has {len(self)} leaves and has never had {size}")
        return size

    def _hash(self, start: int, end: int) -> bytes:
        """Return the root over leaves `start` to `end`, where `start` is a multiple of all that is split off."""
        count = end - start
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self.perfect(level, start >> level)
        middle = start + split(count)
        return node_hash(self._hash(start, middle), self._hash(middle, end))

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + split(end - start)
        if index < middle:
            return [*self._path(index, start, middle), self._hash(middle, end)]
        return [*self._path(index, middle, end), self._hash(start, middle)]

    def _subproof(self, old: int, start: int, end: int, whole: bool) -> list[bytes]:
        """`SUBPROOF`; `whole` as long as the old tree itself is what is looked at, whose root the verifier has."""
        if old == end:
            return [] if whole else [self._hash(start, end)]
        middle = start + split(end - start)
        if old <= middle:
            return [*self._subproof(old, start, middle, whole), self._hash(middle, end)]
        return [*self._subproof(old, middle, end, whole=False), self._hash(start, middle)]


class MerkleTree(Tree):
    """A tree of leaf hashes in memory; 64 bytes a leaf.

    Appending takes two hashes on average. A root or proof takes a number of hashes that grows with the logarithm of
    the size. Not safe to append to from two threads at once; reading what stood before an append is.
    """

    def __init__(self) -> None:
        self._perfect: list[list[bytes]] = [[]]

    def __len__(self) -> int:
        return len(self._perfect[0])

    def perfect(self, level: int, index: int) -> bytes:
        """The hash of a perfect subtree."""
        return self._perfect[level][index]

    def append(self, leaf: bytes) -> int:
        """Add a leaf, and return its index.

        Raises:
            InvalidType: `leaf` is not bytes.
        """
        if not isinstance(leaf, bytes):
            raise InvalidType(f"a leaf is bytes, not {leaf!r}")
        return self.append_hash(leaf_hash(leaf))

    def append_hash(self, digest: bytes) -> int:
        """Add a leaf by its hash, and return its index."""
        index = len(self)
        level = 0
        while len(self._perfect[level]) % 2:  # it completes a perfect tree of twice the size
            left = self._perfect[level][-1]
            self._perfect[level].append(digest)
            digest = node_hash(left, digest)
            level += 1
            if level == len(self._perfect):
                self._perfect.append([])
        self._perfect[level].append(digest)
        return index


def cover(start: int, end: int) -> Iterator[Place]:
    """Yield the largest perfect subtrees over the leaves from `start` up to `end`, from left to right."""
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield level, start >> level
        start += 1 << level


def grown(start: int, hashes: Sequence[bytes]) -> dict[Place, bytes]:
    """Return all perfect subtrees over some leaves, given by their hashes, of which the first is leaf `start`."""
    nodes: dict[Place, bytes] = {}
    for index, digest in enumerate(hashes, start):
        level, node = 0, digest
        nodes[level, index] = node
        while index & 1 and (left := nodes.get((level, index - 1))) is not None:
            level, index = level + 1, index >> 1
            node = nodes[level, index] = node_hash(left, node)
    return nodes


def split(count: int) -> int:
    """Return the largest power of two below `count`, which is 2 or more."""
    return 1 << (count - 1).bit_length() - 1
