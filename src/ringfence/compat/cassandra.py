"""Cassandra's tokens, and which nodes hold them by the rules of its server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ringfence._core.circles import Tokens
from ringfence._core.digests import digest
from ringfence.compat import _md5
from ringfence.compat._arguments import integer, name_of, one_of
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


class TokenRing(Tokens):
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
        by = self._partitioner = one_of("partitioner", partitioner, _PARTITIONERS)
        points, owners = _points(tokens, by)
        nodes = tuple(tokens)
        self._topology = None if topology is None else _checked_topology(topology, nodes)
        self._places = None if self._topology is None else _Places(self._topology)
        centres, racks = ([], []) if self._places is None else self._places.numbered()
        super().__init__(nodes, points, owners, self._place, by.bits, by.digest, centres, racks)

    @property
    def tokens(self) -> list[tuple[int, str]]:
        """Each token and the node that owns it, sorted."""
        return list(zip(self._numbers(), self._owners_named(), strict=True))

    def plan(self, replication: Replication) -> int | tuple[list[int], list[int]]:
        """Return how many replicas there are, or for each data centre how many, and how many may share a rack."""
        strategy = _strategy(replication)
        if isinstance(strategy, int):
            return strategy
        if self._places is None:
            raise InvalidValue("replication by data centre needs the topology: TokenRing(tokens, topology)")
        return self._places.plan(strategy)

    def ranges(self) -> list[tuple[int, int, str]]:
        """Return (start, end, owner) for each token: its owner has the tokens after start up to and including end.

        The first range passes the greatest token and goes on from the least.
        """
        numbers = self._numbers()
        return list(zip([numbers[-1], *numbers[:-1]], numbers, self._owners_named(), strict=True))

    def ownership(self) -> dict[str, float]:
        """Return the part of all tokens that each node owns, 0.0 to 1.0: without a keyspace, so one replica."""
        size = self._partitioner.highest - self._partitioner.lowest + 1
        owned: Counter[str] = Counter()
        for start, end, owner in self.ranges():
            owned[owner] += (end - start) % size or size
        return {node: owned[node] / size for node in self.nodes}

    def _numbers(self) -> list[int]:
        return [place + self._partitioner.lowest for place in self.places]

    def _owners_named(self) -> list[str]:
        return [self.nodes[owner] for owner in self.owners[:-1].tolist()]

    def _place(self, key: bytes | int) -> int:
        """Return the token of a key, or a token given as an int, counted from the least up."""
        by = self._partitioner
        number = by.token(key) if isinstance(key, bytes) else by.checked("the token", key)
        return number - by.lowest

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    __reversed__ = None  # or reversed() would look up the tokens len(ring) - 1 to 0

    def __reduce__(self) -> tuple[Any, ...]:
        tokens: dict[str, list[int]] = {node: [] for node in self.nodes}
        for number, node in self.tokens:
            tokens[node].append(number)
        return TokenRing, (tokens, self._topology, self._partitioner.name)

    def __repr__(self) -> str:
        return f"<cassandra TokenRing of {len(self)} nodes, {len(self.owners) - 1} tokens>"


class _Partitioner(NamedTuple):
    name: str
    lowest: int
    highest: int
    bits: int
    digest: str | None

    def token(self, key: bytes) -> int:
        return _murmur3_token(key) if self.name == "murmur3" else _random_token(key)

    def checked(self, what: str, number: Any) -> int:
        return integer(what, number, self.lowest, self.highest)


_PARTITIONERS = {
    "murmur3": _Partitioner("murmur3", _LOWEST, _HIGHEST, 64, "murmur3_token"),
    "random": _Partitioner("random", -1, 1 << 127, 128, None),
}


def _murmur3_token(key: bytes) -> int:
    return (digest("murmur3_token", key) if key else 0) + _LOWEST


def _random_token(key: bytes) -> int:
    if not key:
        return -1
    return abs(int.from_bytes(_md5.digest(key), "big", signed=True))


class _Places:
    """Data centres and racks, and how many replicas `NetworkTopologyStrategy` puts there."""

    def __init__(self, topology: Mapping[str, tuple[str, str]]) -> None:
        self._topology = topology
        self._nodes_in = Counter(centre for centre, _ in topology.values())
        self._racks_in = Counter(centre for centre, _ in set(topology.values()))

    def numbered(self) -> tuple[list[int], list[int]]:
        """Return the numbers of the data centre and of the rack of each node."""
        centres = {centre: number for number, centre in enumerate(self._nodes_in)}
        racks = {place: number for number, place in enumerate(dict.fromkeys(self._topology.values()))}
        places = self._topology.values()
        return [centres[place[0]] for place in places], [racks[place] for place in places]

    def plan(self, wanted: Mapping[str, int]) -> tuple[list[int], list[int]]:
        """Return for each data centre how many replicas it has, and how many of them may share a rack."""
        left = [min(wanted.get(centre, 0), nodes) for centre, nodes in self._nodes_in.items()]
        repeats = [max(0, wanted.get(centre, 0) - self._racks_in[centre]) for centre in self._nodes_in]
        return left, repeats


def _points(
    tokens: Mapping[str, Iterable[int]], partitioner: _Partitioner
) -> tuple[list[int] | NDArray[np.uint64], NDArray[np.uint32]]:
    """Return the tokens of all nodes, counted from the least up and sorted, and the owner of each."""
    if not isinstance(tokens, Mapping):
        raise InvalidType(f"tokens must be a mapping of nodes to their tokens, not {tokens!r}")
    nodes = [name_of(node, "node") for node in tokens]
    lists = [_checked(node, numbers, partitioner) for node, numbers in tokens.items()]
    if not any(map(len, lists)):
        raise InvalidValue("at least one node must have a token")
    owners = np.repeat(np.arange(len(nodes), dtype=np.uint32), [len(some) for some in lists])
    array = np.concatenate(lists)
    order = np.argsort(array, kind="stable")
    array, owners = array[order], owners[order]
    _refuse_twins(array, owners, nodes)
    if partitioner.bits == 64:
        return array.view(np.uint64) ^ np.uint64(1 << 63), owners
    return [number - partitioner.lowest for number in array.tolist()], owners


def _checked(node: str, numbers: Iterable[int], partitioner: _Partitioner) -> NDArray[Any]:
    some, kind = list(numbers), np.int64 if partitioner.bits == 64 else object
    if partitioner.bits == 64 and set(map(type, some)) == {int}:  # much faster than one by one
        with suppress(OverflowError):
            return np.array(some, kind)
    return np.array([partitioner.checked(f"a token of {node!r}", number) for number in some], kind)


def _refuse_twins(array: NDArray[Any], owners: NDArray[np.uint32], nodes: list[str]) -> None:
    same = np.flatnonzero(array[1:] == array[:-1])
    if len(same):
        first, second = owners[same[0] : same[0] + 2].tolist()
        raise InvalidValue(f"{nodes[first]!r} and {nodes[second]!r} have the same token {array[same[0]]}")


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
