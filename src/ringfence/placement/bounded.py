"""Consistent hashing with bounded loads."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping

from ringfence.errors import InvalidType, InvalidValue, UnknownNode
from ringfence.placement.protocol import Placement


def bounded_node(
    placement: Placement, key: str | bytes | int, loads: Mapping[str, int], balance: float = 1.25
) -> str:
    """Return the node to take one more piece of work for `key`, given how many each node has.

    It is the first in the key's order of preference (in ring order, on a ring) that has room: fewer than
    `ceil(balance * (total + 1) * weight / sum of weights)` pieces (Mirrokni, Thorup, Zadimoghaddam, SODA 2018).
    There is always one.

    Args:
        placement: where the key would live without a bound.
        key: what `placement.lookup` takes.
        loads: pieces of work by node; a node that is missing has none, one that the placement lacks does not count.
        balance: how much more than its share a node may have at most; finite and above 1.

    Raises:
        EmptyRing: there is no node.
        InvalidType: an argument of another type.
        InvalidValue: `balance` is not finite and above 1, or a load below 0.
    """
    _check_placement(placement)
    room = _Room(placement, _checked_balance(balance))
    own = {name: _checked_load(name, loads.get(name, 0)) for name in placement.nodes}
    return room.first(key, own, sum(own.values()))


class BoundedLoad:
    """Gives work to nodes by key, and no node more than its share times `balance`.

    Work goes to the node that owns the key; when that one is full, to the next in the key's order of preference, and
    so on: on a ring, the overflow cascades in ring order. The bound is that of `bounded_node`. Threads may share it.

    >>> bounded = BoundedLoad(HashRing(["a", "b"]))
    >>> node = bounded.acquire("user:42")
    >>> bounded.release(node)

    Args:
        placement: where keys would live without a bound.
        balance: how much more than its share a node may have at most; finite and above 1.

    Raises:
        InvalidType: an argument of another type.
        InvalidValue: `balance` is not finite and above 1.
    """

    def __init__(self, placement: Placement, balance: float = 1.25) -> None:
        _check_placement(placement)
        self._balance = _checked_balance(balance)
        self._lock = threading.Lock()
        self._room = _Room(placement, self._balance)
        self._loads = dict.fromkeys(placement.nodes, 0)
        self._total = 0

    @property
    def placement(self) -> Placement:
        """Where keys would live without a bound."""
        return self._room.placement

    @property
    def balance(self) -> float:
        """How much more than its share a node may have at most."""
        return self._balance

    @property
    def loads(self) -> dict[str, int]:
        """How many pieces of work each node has, those included that left before they gave theirs back."""
        with self._lock:
            return dict(self._loads)

    def acquire(self, key: str | bytes | int) -> str:
        """Return the node that takes a piece of work for `key`, and count it there until it is released.

        Raises:
            EmptyRing: there is no node.
            InvalidType: the key is neither str, bytes nor int.
            InvalidValue: an int out of range or a str with lone surrogates.
        """
        with self._lock:
            node = self._room.first(key, self._loads, self._total)
            self._loads[node] += 1
            self._total += 1
            return node

    def release(self, node: str) -> None:
        """Give back a piece of work that `acquire` gave to `node`.

        Raises:
            UnknownNode: there is no node of that name.
            InvalidValue: the node has no work that could be given back.
        """
        with self._lock:
            self._check_release(node)
            self._loads[node] -= 1
            if node in self._room.shares:
                self._total -= 1
            elif not self._loads[node]:
                del self._loads[node]

    def replace(self, placement: Placement) -> None:
        """Go on with another placement, such as one with a node more.

        The work of a node that leaves may still be released, but counts for no bound. Work is not taken from a node
        that has more than its bound now; it gets no more until it is below.

        Raises:
            InvalidType: `placement` is no `Placement`.
        """
        _check_placement(placement)
        room = _Room(placement, self._balance)
        with self._lock:
            kept = {name: load for name, load in self._loads.items() if load or name in room.shares}
            self._loads = dict.fromkeys(placement.nodes, 0) | kept
            self._total = sum(self._loads[name] for name in placement.nodes)
            self._room = room

    def _check_release(self, node: str) -> None:
        if not isinstance(node, str) or node not in self._loads:
            raise UnknownNode(node, self._room.placement.nodes)
        if self._loads[node] == 0:
            raise InvalidValue(f"node {node!r} has no work to release; was it released twice?")


class _Room:
    """Which nodes have room, by weight."""

    def __init__(self, placement: Placement, balance: float) -> None:
        self.placement = placement
        weights = {name: placement.node(name).weight for name in placement.nodes}
        greatest = max(weights.values(), default=1.0)
        total = math.fsum(weight / greatest for weight in weights.values())
        self.shares = {name: balance * (weight / greatest / total) for name, weight in weights.items()}

    def first(self, key: str | bytes | int, loads: Mapping[str, int], total: int) -> str:
        for name in self._preferred(key):
            if loads[name] < math.ceil((total + 1) * self.shares[name]):
                return name
        raise AssertionError("the bounds add up to more than the load, so some node has room")

    def _preferred(self, key: str | bytes | int) -> Iterator[str]:
        yield self.placement.lookup(key)
        asked, seen = 1, 1
        while seen < len(self.shares):
            asked = min(4 * asked, len(self.shares))
            yield from self.placement.replicas(key, asked)[seen:]
            seen = asked


def _check_placement(placement: object) -> None:
    if not isinstance(placement, Placement):
        raise InvalidType(f"placement must be a Placement, not {type(placement).__name__}: {placement!r}")


def _checked_balance(balance: float) -> float:
    if isinstance(balance, bool) or not isinstance(balance, int | float):
        raise InvalidType(f"balance must be a number, not {type(balance).__name__}: {balance!r}")
    if not 1 < balance < math.inf:
        raise InvalidValue(f"balance must be finite and above 1, not {balance!r}")
    return float(balance)


def _checked_load(name: str, load: int) -> int:
    if isinstance(load, bool) or not isinstance(load, int):
        raise InvalidType(f"the load of {name!r} must be an int, not {type(load).__name__}: {load!r}")
    if load < 0:
        raise InvalidValue(f"the load of {name!r} must be at least 0, not {load}")
    return load
