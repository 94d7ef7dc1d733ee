"""Envoy's two hashing load balancers, ring hash and Maglev, for clients that are to pick the host a sidecar picks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from ringfence._core.digests import digest
from ringfence._core.hashing import xxh64
from ringfence.compat._arguments import integer, key_bytes, one_of, utf8
from ringfence.compat._envoy_bounded import Loads, choose
from ringfence.compat._maglev import Maglev, checked_hosts
from ringfence.compat._ring import Ring, Rule, in_order
from ringfence.errors import InvalidValue

_MOST_POINTS = 8388608
_MASK = 0xFFFF_FFFF_FFFF_FFFF


class RingHash(Ring):
    """The ring of Envoy's `RING_HASH` policy; made by `ring_hash`.

    A key stands for what the hash policy hashes, such as the value of one header; `at` and `pick` take the hash itself.
    """

    __slots__ = ()

    def pick(self, key_hash: int, attempt: int = 0) -> str:
        """Return the host for a request with this hash; on a retry, `attempt` points further, perhaps the same again.

        Raises:
            InvalidType: an argument that is no int.
            InvalidValue: a hash that is not in 0 <= key_hash < 2**64, an attempt less than 0.
        """
        points = len(self.owners) - 1
        place = self.position(integer("key_hash", key_hash, 0, _MASK)) % points
        return self.nodes[int(self.owners[(place + integer("attempt", attempt, 0)) % points])]

    def pick_bounded(self, key_hash: int, loads: Loads, hash_balance_factor: int, attempt: int = 0) -> str:
        """Return the host for a request with this hash when a host may have so many per cent of the average load.

        Follows `thread_aware_lb_impl.cc` (0336fd61): when the host of `pick` has more requests than its share, the
        others are tried in an order that depends on the hash; when all have, the least overloaded gets it.

        Args:
            key_hash: of the request, 0 <= key_hash < 2**64.
            loads: the requests that each host works on now; 0 for those not named.
            hash_balance_factor: as in the configuration: at least 100, 150 for half again the average.
            attempt: of a retry.

        Raises:
            InvalidType: an argument of another type.
            InvalidValue: one out of range.
            UnknownNode: a load of a host that there is not.
        """
        return choose(key_hash, self.pick(key_hash, attempt), self._members, loads, hash_balance_factor)


def ring_hash(
    hosts: Mapping[str, int] | Iterable[str],
    minimum_ring_size: int = 1024,
    maximum_ring_size: int = _MOST_POINTS,
    hash: str = "xxhash",  # noqa: A002 as in Envoy's name for it
) -> RingHash:
    """Return the ring that Envoy makes of the hosts of one priority.

    Follows envoy 0d2acde2, `ring_hash_lb.cc`. Keys are hashed with XXH64 whatever `hash` is. The order of the hosts
    counts where weights give no whole numbers of points. Localities with weights of their own are not taken into
    account.

    Args:
        hosts: `ip:port`, or the host name or `hash_key` metadata where those are hashed, with weights; or without, for
            a weight of 1; in the order in which Envoy has them.
        minimum_ring_size: as in the configuration.
        maximum_ring_size: as in the configuration.
        hash: of the points: `xxhash` or `murmur2` (`MURMUR_HASH_2`).

    Raises:
        InvalidType: a host that is no str, a weight or size that is no int.
        InvalidValue: no host, one named twice, a weight less than 1 or a sum of 2**32 or more, a size not in 1 to
            8388608, a minimum above the maximum, or an unknown hash.
    """
    low = integer("minimum_ring_size", minimum_ring_size, 1, _MOST_POINTS)
    high = integer("maximum_ring_size", maximum_ring_size, 1, _MOST_POINTS)
    if low > high:
        raise InvalidValue(f"minimum_ring_size must not be above maximum_ring_size, as {low} is above {high}")
    one_of("hash", hash, _POINT_HASHES)
    named = checked_hosts(hosts)
    make = partial(ring_hash, minimum_ring_size=low, maximum_ring_size=high, hash=hash)
    rule = Rule("envoy ring_hash", _key_hash, bits=64, digest="xxh64", takes_bytes=True)
    return RingHash(named, in_order(_points(named, low, high, hash)), rule, make)


def maglev(hosts: Mapping[str, int] | Iterable[str], table_size: int = 65537) -> Maglev:
    """Return the table that Envoy's `MAGLEV` policy makes of the hosts of one priority.

    Follows envoy 104df3de, `maglev_lb.cc`. Localities with weights of their own are not taken into account.

    Args:
        hosts: as for `ring_hash`; their order does not count.
        table_size: a prime.

    Raises:
        InvalidType: a host that is no str, a weight or size that is no int.
        InvalidValue: no host, one named twice, a weight less than 1 or a sum of 2**32 or more, a size that is not prime
            or above 5000011.
    """
    return Maglev(checked_hosts(hosts), table_size)


def _points(named: dict[str, int], low: int, high: int, hash: str) -> Iterator[tuple[int, int]]:  # noqa: A002
    point_hash, total = _POINT_HASHES[hash], sum(named.values())
    shares = [weight * 1.0 / total for weight in named.values()]
    scale = min(math.ceil(min(shares) * low) / min(shares), float(high))
    current = target = 0.0
    for owner, (name, share) in enumerate(zip(named, shares, strict=True)):
        target += scale * share
        number = 0
        while current < target:
            yield point_hash(utf8(f"{name}_{number}")), owner
            number += 1
            current += 1


def _key_hash(key: Any) -> int:
    return xxh64(key_bytes(key))


def _murmur2_64a(data: bytes) -> int:
    return digest("murmur2_64a", data, 0xC70F_6907)  # the seed of `std::hash`


_POINT_HASHES: dict[str, Callable[[bytes], int]] = {"xxhash": xxh64, "murmur2": _murmur2_64a}
