"""The rendezvous affinity of Apache Ignite and GridGain: which nodes hold a partition, and which partition a key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Self, TypeAlias, cast
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from ringfence._core.arrow import Keys
from ringfence.compat._arguments import integer, members, utf8, whole
from ringfence.compat._batches import placed
from ringfence.compat._snapshot import Moves, Snapshot
from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement.shares import counted

_INT, _LONG = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
_MOST_PARTITIONS = 65000

ConsistentId: TypeAlias = str | UUID


class Rendezvous(Snapshot):
    """What a `RendezvousAffinityFunction` assigns; made by `rendezvous`. Nodes are named by their consistent ids."""

    __slots__ = ("_epoch", "_members", "_node_ids", "_nodes", "_order", "_partitions")

    def __init__(self, nodes: Mapping[ConsistentId, UUID | None], partitions: int) -> None:
        self._describe(dict.fromkeys(map(str, nodes), 1))
        self._nodes = tuple(self._members)
        self._node_ids = dict(nodes)
        self._partitions = partitions
        self._order = _order(self._node_ids, partitions)

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return self._partitions

    def partition(self, key: str | int | UUID) -> int:
        """Return the partition of a key.

        A str is hashed as a Java `String`, a `UUID` as a `UUID`, and an int as a `Long`, which from 0 on is the same as
        an `Integer`.

        Raises:
            InvalidType: a key of another type.
            InvalidValue: an int that is no Java `Long`, a str with lone surrogates.
        """
        h = hash_code(key)
        if self._partitions & self._partitions - 1 == 0:
            return (h ^ h >> 16) & self._partitions - 1
        signed = h - (1 << 32) if h >> 31 else h
        return abs(signed) % self._partitions  # Java's remainder has the sign of the hash, and abs() follows

    def assignment(self, partition: int, backups: int = 0) -> tuple[str, ...]:
        """Return the nodes that hold a partition: the primary, then its backups.

        Raises:
            InvalidType: an argument that is no int.
            InvalidValue: one that is out of range.
        """
        partition = integer("partition", partition, 0, self._partitions - 1)
        wanted = integer("backups", backups, 0) + 1
        return tuple(self._nodes[index] for index in self._order[partition, :wanted].tolist())

    def __getitem__(self, key: str | int | UUID) -> str:
        """Return the node that is primary for a key."""
        return self._nodes[int(self._order[self.partition(key), 0])]

    def lookup(self, key: str | int | UUID, /) -> str:
        """Return the node that is primary for a key; raises what `partition` does."""
        return self[key]

    def lookup_many(
        self, keys: Keys | Iterable[UUID], *, threads: int = 1, null: str | None = None
    ) -> NDArray[np.uint32]:
        """Return the primaries of a batch of keys, as uint32 indices into `nodes`.

        Takes what the `lookup_many` of a ring does, but for text and integers; and UUIDs in a list.
        """
        return placed(self._nodes, lambda items: self._rows(items)[:, 0], cast("Keys", keys), threads, null)

    def replicas(self, key: str | int | UUID, n: int) -> tuple[str, ...]:
        """Return the primary of a key and its backups: `n` nodes, or all when there are fewer."""
        return self.assignment(self.partition(key), integer("n", n, 1) - 1)

    def replicas_many(
        self, keys: Keys | Iterable[UUID], n: int, *, threads: int = 1, null: str | None = None
    ) -> NDArray[np.uint32]:
        """Return the `replicas` of a batch of keys, one row a key, as uint32 indices into `nodes`."""
        wanted = integer("n", n, 1)
        return placed(
            self._nodes, lambda items: self._rows(items)[:, :wanted], cast("Keys", keys), threads, null
        )

    def _rows(self, keys: list[Any]) -> NDArray[np.uint32]:
        rows: NDArray[np.uint32] = self._order[[self.partition(key) for key in keys]]
        return rows

    def diff(self, new: Rendezvous) -> Moves:
        """Return which keys have another primary in `new`, with as many partitions.

        Raises:
            InvalidType: `new` is no rendezvous.
            InvalidValue: it has another number of partitions.
        """
        if not isinstance(new, Rendezvous):
            raise InvalidType(f"a rendezvous is compared with another, not {type(new).__name__}: {new!r}")
        if new._partitions != self._partitions:
            raise InvalidValue(
                f"{self._partitions} and {new._partitions} partitions cannot be compared one by one"
            )
        return Moves(self, new, counted(self.nodes, self._order[:, 0], new.nodes, new._order[:, 0]))

    def _made(self, members: dict[str, Any]) -> Self:
        if any(weight != 1 for weight in members.values()):
            raise InvalidValue("Ignite's rendezvous has no weights")
        ids = {str(name): name for name in self._node_ids}
        nodes = {ids.get(name, name): self._node_ids.get(ids.get(name, name)) for name in members}
        return cast("Self", rendezvous(nodes, self._partitions))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rendezvous):
            return NotImplemented
        return (self._node_ids, self._partitions) == (other._node_ids, other._partitions)

    def __hash__(self) -> int:
        return hash((self._nodes, self._partitions))

    def __reduce__(self) -> tuple[Any, ...]:
        return rendezvous, (self._node_ids, self._partitions)

    def __repr__(self) -> str:
        return f"<ignite rendezvous of {len(self)} nodes, {self._partitions} partitions>"


def rendezvous(
    nodes: Mapping[ConsistentId, UUID | None] | Iterable[ConsistentId], partitions: int = 1024
) -> Rendezvous:
    """Return what `new RendezvousAffinityFunction(false, partitions)` assigns to these nodes.

    Follows Apache Ignite 2 and GridGain 8 (06514e09), `RendezvousAffinityFunction.java`; Ignite 1 did otherwise. For
    each partition the nodes are ordered by a 64-bit mix (Wang) of the hash code of their consistent ids and the
    partition, and by node id where those are equal. A power of two of partitions folds the hash code of a key.

    Args:
        nodes: consistent ids, or consistent ids with node ids. A consistent id is a str where the configuration or
            the node's addresses make it one, a `UUID` where persistence does.
        partitions: as the cache is configured.

    Raises:
        InvalidType: a consistent id that is no str or `UUID`, a node id that is no `UUID`, `partitions` that is no int.
        InvalidValue: no node, one named twice, `partitions` not in 1 to 65000, or two consistent ids with the same
            hash code and no node ids to tell which goes first.
    """
    if isinstance(nodes, str | bytes) or not isinstance(nodes, Iterable):
        raise InvalidType(f"nodes must be consistent ids, or a mapping of them to node ids, not {nodes!r}")
    ids = list(nodes)
    members([str(name) if isinstance(name, UUID) else name for name in ids], whole(1))
    node_ids = nodes if isinstance(nodes, Mapping) else dict.fromkeys(ids)
    for name, node_id in node_ids.items():
        if node_id is not None and not isinstance(node_id, UUID):
            raise InvalidType(f"the node id of {str(name)!r} must be a UUID, not {node_id!r}")
    return Rendezvous(node_ids, integer("partitions", partitions, 1, _MOST_PARTITIONS))


def hash_code(key: str | int | UUID) -> int:
    """Return Java's `hashCode()` of a `String`, `Long` or `UUID`, as 32 bits without a sign.

    Raises:
        InvalidType: another type.
        InvalidValue: an int that is no Java `Long`, a str with lone surrogates.
    """
    if isinstance(key, str):
        return _string_hash(key)
    if isinstance(key, UUID):
        return _folded(key.int >> 64 ^ key.int & _LONG)
    if isinstance(key, int) and not isinstance(key, bool):
        return _folded(integer("key", key, -(1 << 63), (1 << 63) - 1) & _LONG)
    raise InvalidType(f"key must be a str, an int or a UUID, not {type(key).__name__}: {key!r}")


def _string_hash(text: str) -> int:
    utf8(text)  # refuses lone surrogates
    units = text.encode("utf-16-be")
    h = 0
    for high, low in zip(units[::2], units[1::2], strict=True):
        h = h * 31 + (high << 8 | low) & _INT
    return h


def _folded(value: int) -> int:
    return (value ^ value >> 32) & _INT


def _order(nodes: Mapping[ConsistentId, UUID | None], partitions: int) -> NDArray[np.uint32]:
    """Return for each partition the nodes in the order in which they are to hold it."""
    hashes = [hash_code(name) for name in nodes]
    by_id = sorted(range(len(hashes)), key=_tie_breaks(nodes, hashes).__getitem__)
    low = np.array([hashes[index] for index in by_id], np.uint64)
    high = np.arange(partitions, dtype=np.uint64) << np.uint64(32)
    mixed = _mix(high[:, None] | low[None, :]).view(np.int64)
    order: NDArray[np.uint32] = np.array(by_id, np.uint32)[np.argsort(mixed, axis=1, kind="stable")]
    return order


def _tie_breaks(nodes: Mapping[ConsistentId, UUID | None], hashes: list[int]) -> list[tuple[int, int]]:
    """Return what orders nodes of the same hash code: their ids as Java compares them, the halves with their signs."""
    count = Counter(hashes)
    keys = []
    for (name, node_id), h in zip(nodes.items(), hashes, strict=True):
        if node_id is None and count[h] > 1:
            raise InvalidValue(
                f"the hash code of {str(name)!r} is that of another node too: give node ids to order them"
            )
        number = 0 if node_id is None else node_id.int
        keys.append((_signed(number >> 64), _signed(number & _LONG)))
    return keys


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def _mix(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The 64-bit mix of Wang, modulo 2**64."""
    one = [np.uint64(by) for by in range(32)]
    key = ~key + (key << one[21])
    key ^= key >> one[24]
    key = key + (key << one[3]) + (key << one[8])
    key ^= key >> one[14]
    key = key + (key << one[2]) + (key << one[4])
    key ^= key >> one[28]
    return key + (key << one[31])
