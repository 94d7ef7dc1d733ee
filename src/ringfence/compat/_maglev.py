"""Maglev as Envoy builds it: a table of slots that hosts take in turns, by weight."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from itertools import count, islice
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ringfence._core.arrow import Keys
from ringfence._core.hashing import xxh64, xxh64_many
from ringfence.compat._arguments import integer, key_bytes, members, whole
from ringfence.compat._batches import placed
from ringfence.compat._envoy_bounded import Loads, choose
from ringfence.compat._ring import distinct
from ringfence.compat._snapshot import Moves, Snapshot
from ringfence.errors import InvalidType, InvalidValue
from ringfence.placement.shares import counted

_MOST_SLOTS = 5000011
_MASK = 0xFFFF_FFFF_FFFF_FFFF


class Maglev(Snapshot):
    """The table of Envoy's `MAGLEV` policy; made by `envoy.maglev`.

    A key stands for what the hash policy hashes, such as the value of one header; `pick` takes the hash itself.
    """

    __slots__ = ("_epoch", "_members", "_nodes", "_size", "_table", "_with_slots")

    def __init__(self, hosts: Mapping[str, int], table_size: int) -> None:
        self._describe(dict(hosts))
        self._nodes = tuple(self._members)
        self._size = _prime(integer("table_size", table_size, 2, _MOST_SLOTS))
        self._table = _table(self._members, self._size)
        self._with_slots = len(np.unique(self._table))

    @property
    def table(self) -> NDArray[np.uint32]:
        """The host of each slot, as an index into `nodes`; read-only."""
        return self._table.view()

    def pick(self, key_hash: int, attempt: int = 0) -> str:
        """Return the host for a request with this hash; on a retry, that of another slot, perhaps the same again.

        Raises:
            InvalidType: an argument that is no int.
            InvalidValue: a hash that is not in 0 <= key_hash < 2**64, an attempt less than 0.
        """
        place = integer("key_hash", key_hash, 0, _MASK)
        if integer("attempt", attempt, 0):
            place ^= -attempt & _MASK
        return self._nodes[int(self._table[place % self._size])]

    def pick_bounded(self, key_hash: int, loads: Loads, hash_balance_factor: int, attempt: int = 0) -> str:
        """Return the host for a request with this hash when a host may have so many per cent of the average load.

        Takes and raises what `RingHash.pick_bounded` does; Envoy shares it between both policies.
        """
        return choose(key_hash, self.pick(key_hash, attempt), self._members, loads, hash_balance_factor)

    def __getitem__(self, key: str | bytes) -> str:
        """Return the host for a key."""
        return self.pick(xxh64(key_bytes(key)))

    def lookup(self, key: str | bytes, /) -> str:
        """Return the host for a key; `maglev[key]` is the same.

        Raises:
            InvalidType: the key is neither str nor bytes.
            InvalidValue: a str with lone surrogates.
        """
        return self[key]

    def lookup_many(self, keys: Keys, *, threads: int = 1, null: str | None = None) -> NDArray[np.uint32]:
        """Return the hosts of a batch of keys, as uint32 indices into `nodes`; takes what a ring's does."""
        return placed(self._nodes, self._owners, keys, threads, null)

    def _owners(self, keys: list[Any]) -> NDArray[np.uint32]:
        for key in keys:
            if not isinstance(key, str | bytes):
                key_bytes(key)  # which refuses it
        found: NDArray[np.uint32] = self._table[xxh64_many(keys) % np.uint64(self._size)]
        return found

    def replicas(self, key: str | bytes, n: int) -> tuple[str, ...]:
        """Return the first `n` distinct hosts that retries of a request come to, its own first.

        All hosts that have slots when there are fewer than `n`.

        Raises:
            InvalidType: as for `lookup`, or `n` is no int.
            InvalidValue: as for `lookup`, or `n` is less than 1.
        """
        place = xxh64(key_bytes(key))
        return tuple(distinct((self.pick(place, attempt) for attempt in count()), self._wanted(n)))

    def replicas_many(
        self, keys: Keys, n: int, *, threads: int = 1, null: str | None = None
    ) -> NDArray[np.uint32]:
        """Return the `replicas` of a batch of keys, one row a key, as uint32 indices into `nodes`."""
        return placed(self._nodes, lambda items: self._rows(items, n), keys, threads, null)

    def _rows(self, keys: list[Any], n: int) -> NDArray[np.uint32]:
        position = {name: index for index, name in enumerate(self._nodes)}
        rows = [[position[name] for name in self.replicas(key, n)] for key in keys]
        return np.array(rows, np.uint32).reshape(len(rows), self._wanted(n))

    def diff(self, new: Maglev) -> Moves:
        """Return which keys have another host in `new`, a table of the same size.

        Raises:
            InvalidType: `new` is no such table.
            InvalidValue: it has another size.
        """
        if not isinstance(new, Maglev):
            raise InvalidType(f"a maglev is compared with one of its kind, not {type(new).__name__}: {new!r}")
        if new._size != self._size:
            raise InvalidValue(
                f"tables of {self._size} and {new._size} slots cannot be compared slot by slot"
            )
        return Moves(self, new, counted(self.nodes, self._table, new.nodes, new._table))

    def _made(self, members: dict[str, Any]) -> Self:
        return type(self)(checked_hosts(members), self._size)

    def _wanted(self, n: int) -> int:
        return min(integer("n", n, 1), self._with_slots)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Maglev):
            return NotImplemented
        return self._nodes == other._nodes and np.array_equal(self._table, other._table)

    def __hash__(self) -> int:
        return hash((self._nodes, self._size))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._members, self._size)

    def __repr__(self) -> str:
        return f"<envoy maglev of {len(self)} hosts, {self._size} slots>"


def checked_hosts(hosts: Any) -> dict[str, int]:
    """Return hosts with their weights, as Envoy takes them."""
    named = members(hosts, whole(1, (1 << 32) - 1), "host")
    if sum(named.values()) >= 1 << 32:
        raise InvalidValue(f"the sum of all weights must be less than 2**32, not {sum(named.values())}")
    return named


def _table(weights: Mapping[str, int], size: int) -> NDArray[np.uint32]:
    hosts = sorted(weights)
    total, position = sum(weights.values()), {host: index for index, host in enumerate(weights)}
    shares = [weights[host] * 1.0 / total for host in hosts]
    free_slots = [_permutation(host, size) for host in hosts]
    table = np.zeros(size, np.uint32)
    taken = bytearray(size)
    for turn in islice(_turns(shares), size):
        slot = next(slot for slot in free_slots[turn] if not taken[slot])
        taken[slot] = 1
        table[slot] = position[hosts[turn]]
    table.flags.writeable = False
    return table


def _permutation(host: str, size: int) -> Iterator[int]:
    slot, skip = xxh64(host) % size, xxh64(host, 1) % (size - 1) + 1
    while True:
        yield slot
        slot = (slot + skip) % size


def _turns(shares: list[float]) -> Iterator[int]:
    """Yield whose turn it is: in each round those whose share times the round has come up to their target.

    A turn adds the largest share to the target. Rounds in which a host has no turn are leapt over.
    """
    largest = max(shares)
    targets = [0.0] * len(shares)
    waiting = [(1, host) for host in range(len(shares))]
    while True:
        number, host = waiting[0]
        yield host
        targets[host] += largest
        heapq.heapreplace(waiting, (_first_round(targets[host], shares[host], number + 1), host))


def _first_round(target: float, share: float, least: int) -> int:
    number = max(least, int(target / share) - 1)  # at most one or two too low, for the division rounds
    return next(round_ for round_ in count(number) if round_ * share >= target)


def _prime(number: int) -> int:
    if any(number % divisor == 0 for divisor in range(2, int(number**0.5) + 1)):
        raise InvalidValue(f"table_size must be prime, not {number}")
    return number
