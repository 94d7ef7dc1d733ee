"""Cassandra's tokens, and which nodes hold them by the rules of its server."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ringfence._core.digests import digest
from ringfence.compat import _md5
from ringfence.compat._arguments import integer, key_list, name_of, one_of
from ringfence.compat._ring import distinct, round_from
from ringfence.errors import InvalidType, InvalidValue, UnknownNode

Replication: TypeAlias = int | Mapping[str, int] | Mapping[str, str] | Mapping[str, int | str]

_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1


def token(key: bytes, partitioner: str = "murmur3") -> int:
    """Return the token of a partition key, as the server computes it.

    Follows Cassandra 02404115, `dht/Murmur3Partitioner.java` and `utils/MurmurHash.java`, which extends the sign of the
    last bytes of a key where they are above 127, and `dht/RandomPartitioner.java`. An empty key has the least token.

    Args:
        key: the serialised partition key; `composite_key` makes that of several columns.
        partitioner: `murmur3`, the default of Cassandra, or `random`.

    Raises:
        InvalidType: the key is not bytes.
        InvalidValue: an unknown partitioner.
    """
    if not isinstance(key, bytes):
        raise InvalidType(f"key must be bytes, as it was serialised, not {type(key).__name__}: {key!r}")
    return one_of("partitioner", partitioner, _PARTITIONERS).token(key)


def composite_key(*components: bytes) -> bytes:
    """Return the partition key of several columns: the length, the bytes and a zero for each; of one, its bytes.

    Raises:
        InvalidType: a component that is not bytes.
        InvalidValue: no component, or one of 65536 bytes or more.
    """
    if not components:
        raise InvalidValue("a partition key has at least one component")
    for component in components:
        if not isinstance(component, bytes):
            raise InvalidType(f"a component must be bytes, as it was serialised, not {component!r}")
        if len(component) > 0xFFFF:
            raise InvalidValue(f"a component must be less than 65536 bytes, not {len(component)}")
    if len(components) == 1:
        return components[0]
    return b"".join(len(part).to_bytes(2, "big") + part + b"\0" for part in components)


class TokenRing:
    """Which nodes of a cluster hold which tokens.

    Args:
        tokens: the tokens of each node.
        topology: the data centre and the rack of each node; without it only a replication by number is possible.
        partitioner: `murmur3` or `random`, of the keys.

    Raises:
        InvalidType: a name that is no str, a token that is no int.
        InvalidValue: no token, a token out of range or that two nodes have, an unknown partitioner.
        UnknownNode: a node with tokens that the topology does not have.
    """

    def __init__(
        self,
        tokens: Mapping[str, Iterable[int]],
        topology: Mapping[str, tuple[str, str]] | None = None,
        partitioner: str = "murmur3",
    ) -> None:
        self._partitioner = one_of("partitioner", partitioner, _PARTITIONERS)
        owner_of = _owners(tokens, self._partitioner)
        self._tokens = sorted(owner_of)
        self._nodes = tuple(tokens)
        self._owners = [owner_of[number] for number in self._tokens]
        self._owners.append(self._owners[0])  # so that no search has to wrap
        self._places = None if topology is None else _Places(_checked_topology(topology, self._nodes))

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes, in the order given: `ring.nodes[ring.lookup_many([key])[0]] == ring[key]`."""
        return self._nodes

    @property
    def tokens(self) -> list[tuple[int, str]]:
        """Each token and the node that owns it, sorted."""
        return list(zip(self._tokens, self._owners, strict=False))

    def __getitem__(self, key: bytes | int) -> str:
        """Return the node that owns a key, or a token given as an int: that of the first token at or after it."""
        return self._owners[bisect_left(self._tokens, self._token(key))]

    def lookup(self, key: bytes | int, /) -> str:
        """Return the node that owns a key or a token; `ring[key]` is the same.

        Raises:
            InvalidType: neither bytes nor an int.
            InvalidValue: an int that is no token.
        """
        return self[key]

    def lookup_many(self, keys: Iterable[bytes | int]) -> NDArray[np.uint32]:
        """Return the owners of a batch of keys or tokens, as uint32 indices into `nodes`."""
        items = key_list(keys)
        position = {name: index for index, name in enumerate(self._nodes)}
        return np.fromiter((position[self[key]] for key in items), np.uint32, len(items))

    def replicas(self, key_or_token: bytes | int, replication: Replication) -> tuple[str, ...]:
        """Return the nodes that hold a key, or a token given as an int, in the order in which the server has them.

        Follows Cassandra 02404115, `locator/SimpleStrategy.java` and `locator/NetworkTopologyStrategy.java`. The Python
        driver orders some otherwise, and can name a node twice.

        Args:
            key_or_token: the serialised partition key, or a token.
            replication: how many for `SimpleStrategy`; data centres with how many in each for
                `NetworkTopologyStrategy`; or the whole map of a keyspace, with its `class`.

        Raises:
            InvalidType: neither bytes nor an int, or a replication of another type.
            InvalidValue: an int that is no token, an unknown strategy, or data centres without a topology.
        """
        start = bisect_left(self._tokens, self._token(key_or_token))
        walk = round_from(self._owners, start, len(self._tokens))
        strategy = _strategy(replication)
        if isinstance(strategy, int):
            return tuple(distinct(walk, strategy))
        if self._places is None:
            raise InvalidValue("replication by data centre needs the topology: TokenRing(tokens, topology)")
        return self._places.replicas(walk, strategy)

    def ranges(self) -> list[tuple[int, int, str]]:
        """Return (start, end, owner) for each token: its owner has the tokens after start up to and including end.

        The first range passes the greatest token and goes on from the least.
        """
        starts = [self._tokens[-1], *self._tokens[:-1]]
        return list(zip(starts, self._tokens, self._owners, strict=False))

    def ownership(self) -> dict[str, float]:
        """Return the part of all tokens that each node owns, 0.0 to 1.0: without a keyspace, so one replica."""
        size = self._partitioner.highest - self._partitioner.lowest + 1
        owned: Counter[str] = Counter()
        for start, end, owner in self.ranges():
            owned[owner] += (end - start) % size or size
        return {node: owned[node] / size for node in self._nodes}

    def _token(self, key: bytes | int) -> int:
        if isinstance(key, bytes):
            return self._partitioner.token(key)
        return self._partitioner.checked("the token", key)

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    __reversed__ = None  # or reversed() would look up the tokens len(ring) - 1 to 0

    def __repr__(self) -> str:
        return f"<cassandra TokenRing of {len(self._nodes)} nodes, {len(self._tokens)} tokens>"


class _Partitioner(NamedTuple):
    name: str
    lowest: int
    highest: int

    def token(self, key: bytes) -> int:
        return _murmur3_token(key) if self.name == "murmur3" else _random_token(key)

    def checked(self, what: str, number: Any) -> int:
        return integer(what, number, self.lowest, self.highest)


_PARTITIONERS = {
    "murmur3": _Partitioner("murmur3", _LOWEST, _HIGHEST),
    "random": _Partitioner("random", -1, 1 << 127),
}


def _murmur3_token(key: bytes) -> int:
    if not key:
        return _LOWEST
    unsigned = digest("murmur3_java", key)
    number = unsigned - (1 << 64) if unsigned >> 63 else unsigned
    return _HIGHEST if number == _LOWEST else number


def _random_token(key: bytes) -> int:
    if not key:
        return -1
    return abs(int.from_bytes(_md5.digest(key), "big", signed=True))


class _Places:
    """Data centres and racks, and how `NetworkTopologyStrategy` spreads replicas over them."""

    def __init__(self, topology: Mapping[str, tuple[str, str]]) -> None:
        self._topology = topology
        self._nodes_in = Counter(centre for centre, _ in topology.values())
        self._racks_in = Counter(centre for centre, _ in set(topology.values()))

    def replicas(self, walk: Iterable[str], wanted: Mapping[str, int]) -> tuple[str, ...]:
        left = {
            centre: min(number, self._nodes_in[centre])
            for centre, number in wanted.items()
            if number and self._nodes_in[centre]
        }
        repeats = {centre: wanted[centre] - self._racks_in[centre] for centre in left}
        found: dict[str, None] = {}
        racks: set[tuple[str, str]] = set()
        missing = sum(left.values())
        for node in walk:
            if not missing:
                break
            place = self._topology[node]
            centre = place[0]
            if not left.get(centre) or node in found:
                continue
            if place in racks:
                if repeats[centre] <= 0:
                    continue  # as many distinct racks are left as replicas
                repeats[centre] -= 1
            racks.add(place)
            found[node] = None
            left[centre] -= 1
            missing -= 1
        return tuple(found)


def _owners(tokens: Mapping[str, Iterable[int]], partitioner: _Partitioner) -> dict[int, str]:
    if not isinstance(tokens, Mapping):
        raise InvalidType(f"tokens must be a mapping of nodes to their tokens, not {tokens!r}")
    owner_of: dict[int, str] = {}
    for node, numbers in tokens.items():
        for value in numbers:
            number = partitioner.checked(f"a token of {name_of(node, 'node')!r}", value)
            if number in owner_of:
                raise InvalidValue(f"{owner_of[number]!r} and {node!r} have the same token {number}")
            owner_of[number] = node
    if not owner_of:
        raise InvalidValue("at least one node must have a token")
    return owner_of


def _checked_topology(
    topology: Mapping[str, tuple[str, str]], nodes: Iterable[str]
) -> dict[str, tuple[str, str]]:
    for node in nodes:
        if node not in topology:
            raise UnknownNode(node, tuple(topology))
    return {node: _place(node, topology[node]) for node in nodes}


def _place(node: str, place: Any) -> tuple[str, str]:
    if not isinstance(place, tuple) or len(place) != 2 or not all(isinstance(part, str) for part in place):
        raise InvalidType(f"the topology of {node!r} must be (data centre, rack), not {place!r}")
    return place


def _strategy(replication: Any) -> int | dict[str, int]:
    """Return how many replicas there are, or how many in each data centre."""
    if isinstance(replication, Mapping):
        settings = {name: value for name, value in replication.items() if name != "class"}
        name = str(replication.get("class", "NetworkTopologyStrategy")).rpartition(".")[2]
        if name == "SimpleStrategy":
            return _factor("replication_factor", settings.get("replication_factor"))
        if name != "NetworkTopologyStrategy":
            raise InvalidValue(
                f"class must be SimpleStrategy or NetworkTopologyStrategy, not {replication['class']!r}"
            )
        return {
            centre: _factor(f"the replication in {centre!r}", value) for centre, value in settings.items()
        }
    return integer("replication", replication, 1)


def _factor(what: str, value: Any) -> int:
    return integer(what, int(value) if isinstance(value, str) and value.isdecimal() else value, 0)
