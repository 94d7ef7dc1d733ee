"""The slots of Redis Cluster and Valkey, and who serves them."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringfence._core.arrow import Keys
from ringfence.compat._arguments import integer, key_bytes
from ringfence.compat._batches import placed
from ringfence.errors import InvalidType, InvalidValue, PlacementError

SLOTS = 16384
"""How many slots there are."""


def slot(key: str | bytes) -> int:
    """Return the hash slot of a key, 0 <= slot < 16384.

    Follows the Redis Cluster specification: CRC-16 (XMODEM) modulo 16384, of what stands between the first `{` and the
    first `}` after it when that is not empty, so that keys with the same tag lie together.

    Raises:
        InvalidType: the key is neither str nor bytes.
        InvalidValue: a str with lone surrogates.
    """
    data = key_bytes(key)
    start = data.find(b"{")
    if start >= 0:
        end = data.find(b"}", start + 1)
        if end > start + 1:
            data = data[start + 1 : end]
    return crc_hqx(data, 0) % SLOTS


class SlotMap:
    """Which node serves each slot, from what a cluster answers to `CLUSTER SLOTS` or `CLUSTER SHARDS`.

    Nodes are written `host:port`. A slot without a node is possible while a cluster is being made or repaired.

    Args:
        ranges: (first slot, last slot, its nodes: the primary first, then its replicas).

    Raises:
        InvalidType: a slot that is no int.
        InvalidValue: a slot out of range or given twice, a range without a node.
    """

    def __init__(self, ranges: Iterable[tuple[int, int, Sequence[str]]]) -> None:
        shards: list[tuple[str, ...]] = []
        self._shard_of_slot = np.full(SLOTS, -1, np.int32)
        for first, last, nodes in ranges:
            self._serve(first, last, tuple(nodes), shards)
        self._shards = shards
        self._nodes = tuple(dict.fromkeys(nodes[0] for nodes in shards))
        position = {name: index for index, name in enumerate(self._nodes)}
        self._primary_of_shard = np.array([position[nodes[0]] for nodes in shards], np.uint32)

    @classmethod
    def from_slots(cls, reply: Iterable[Sequence[Any]]) -> SlotMap:
        """Return the map in an answer to `CLUSTER SLOTS`: rows of first slot, last slot and nodes [host, port, ...].

        Takes what a client without callbacks returns: lists, with text as bytes or str.
        """
        return cls((row[0], row[1], [_address(node[0], node[1]) for node in row[2:]]) for row in reply)

    @classmethod
    def from_shards(cls, reply: Iterable[Any]) -> SlotMap:
        """Return the map in an answer to `CLUSTER SHARDS`: a slots list and nodes for each shard.

        Takes mappings, or lists of names and values in turn, with text as bytes or str. The node whose role is master
        comes first.
        """
        return cls(row for shard in reply for row in _ranges(_mapping(shard)))

    @property
    def nodes(self) -> tuple[str, ...]:
        """The primaries that serve slots: `map.nodes[map.lookup_many([key])[0]] == map[key]`."""
        return self._nodes

    def __getitem__(self, key: str | bytes) -> str:
        """Return the primary that serves a key, as `host:port`."""
        return self._serving(slot(key))[0]

    def lookup(self, key: str | bytes, /) -> str:
        """Return the primary that serves a key, as `host:port`.

        Raises:
            PlacementError: no node serves its slot.
            InvalidType: the key is neither str nor bytes.
        """
        return self[key]

    def replicas(self, key: str | bytes, n: int) -> tuple[str, ...]:
        """Return the primary that serves a key and its replicas, `n` nodes at most.

        Raises:
            PlacementError: no node serves its slot.
            InvalidType: the key is neither str nor bytes, or `n` is no int.
            InvalidValue: `n` is less than 1.
        """
        return self._serving(slot(key))[: integer("n", n, 1)]

    def lookup_many(self, keys: Keys, *, threads: int = 1, null: str | None = None) -> NDArray[np.uint32]:
        """Return the primaries of a batch of keys, as uint32 indices into `nodes`; takes what a ring's does.

        Raises:
            PlacementError: no node serves the slot of a key.
            InvalidType: a key that is neither str nor bytes.
            InvalidValue: a row is null, Arrow data are malformed, or `threads` is less than 1.
            UnknownNode: there is no node named `null`.
        """
        return placed(self._nodes, self._primaries, keys, threads, null)

    def _primaries(self, keys: list[Any]) -> NDArray[np.uint32]:
        slots = np.fromiter(map(slot, keys), np.int32, len(keys))
        shards = self._shard_of_slot[slots]
        if (shards < 0).any():
            self._serving(int(slots[shards < 0][0]))
        return self._primary_of_shard[shards]

    def slots_of(self, node: str) -> NDArray[np.intp]:
        """Return the slots that a primary serves, sorted; none for a node that serves none."""
        shards = [index for index, nodes in enumerate(self._shards) if nodes[0] == node]
        return np.flatnonzero(np.isin(self._shard_of_slot, shards))

    def _serve(self, first: int, last: int, nodes: tuple[str, ...], shards: list[tuple[str, ...]]) -> None:
        first = integer("the first slot", first, 0, SLOTS - 1)
        last = integer("the last slot", last, first, SLOTS - 1)
        if not nodes:
            raise InvalidValue(f"the slots {first} to {last} have no node")
        taken = np.flatnonzero(self._shard_of_slot[first : last + 1] >= 0)
        if len(taken):
            raise InvalidValue(f"slot {first + int(taken[0])} is given twice")
        self._shard_of_slot[first : last + 1] = len(shards)
        shards.append(nodes)

    def _serving(self, number: int) -> tuple[str, ...]:
        shard = int(self._shard_of_slot[number])
        if shard < 0:
            raise PlacementError(f"no node serves slot {number}; ask the cluster for its slots again")
        return self._shards[shard]

    def __repr__(self) -> str:
        covered = int((self._shard_of_slot >= 0).sum())
        return f"<SlotMap of {len(self._nodes)} primaries, {covered} of {SLOTS} slots>"


def _ranges(shard: Mapping[str, Any]) -> Iterable[tuple[int, int, list[str]]]:
    nodes = sorted(
        (_mapping(node) for node in shard["nodes"]), key=lambda node: _text(node["role"]) != "master"
    )
    addresses = [_address(_host(node), node.get("port") or node.get("tls-port")) for node in nodes]
    bounds = list(shard["slots"])
    return [(first, last, addresses) for first, last in zip(bounds[::2], bounds[1::2], strict=True)]


def _host(node: Mapping[str, Any]) -> Any:
    return node.get("endpoint") or node.get("ip") or ""


def _address(host: Any, port: Any) -> str:
    return f"{_text(host)}:{integer('the port', port, 1, 65535)}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {_text(name): content for name, content in value.items()}
    if isinstance(value, list | tuple):
        return {_text(name): content for name, content in zip(value[::2], value[1::2], strict=True)}
    raise InvalidType(f"a shard must be a mapping or a list, not {type(value).__name__}: {value!r}")
