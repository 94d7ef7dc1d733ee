"""Envoy's consistent hashing with bounded loads: which host takes a request whose own has too many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np

from ringfence.compat._arguments import integer
from ringfence.errors import InvalidType, UnknownNode

Loads: TypeAlias = Mapping[str, int]

_BATCH = 64


def choose(key_hash: int, host: str, weights: Mapping[str, int], loads: Loads, balance: int) -> str:
    """Return `host`, or another when it has more requests than its share.

    Follows envoy 0336fd61, `thread_aware_lb_impl.cc`.

    Args:
        key_hash: of the request.
        host: that the ring or table gives it to.
        weights: of all hosts, in Envoy's order.
        loads: requests that hosts work on now.
        balance: `hash_balance_factor`, per cent of the average load.
    """
    balance = integer("hash_balance_factor", balance, 100, (1 << 32) - 1)
    overload = _Overload(weights, _checked(loads, weights), balance)
    least, least_factor = host, overload.of(host)
    if least_factor <= 1.0:
        return host
    for other in _shuffled(list(weights), key_hash):
        if other == host:
            continue
        factor = overload.of(other)
        if factor <= 1.0:
            return other
        if factor < least_factor:
            least, least_factor = other, factor
    return least


class _Overload:
    """How many requests a host has for each slot that is its share, all loads and weights taken."""

    def __init__(self, weights: Mapping[str, int], loads: Loads, balance: int) -> None:
        active = sum(loads.values())
        self._total_slots = (((active + 1) * balance + 99) & 0xFFFF_FFFF) // 100
        self._weights, self._loads, self._sum = weights, loads, sum(weights.values())

    def of(self, host: str) -> float:
        share = self._weights[host] * 1.0 / self._sum
        slots = max(math.ceil(self._total_slots * share), 1)
        return self._loads.get(host, 0) / slots


def _checked(loads: Loads, weights: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(loads, Mapping):
        raise InvalidType(f"loads must be a mapping of hosts to requests, not {loads!r}")
    for host in loads:
        if host not in weights:
            raise UnknownNode(host, tuple(weights))
    return {host: integer(f"the load of {host!r}", load, 0, (1 << 32) - 1) for host, load in loads.items()}


def _shuffled(hosts: list[str], seed: int) -> Iterator[str]:
    """Yield the hosts in an order that depends on the seed: Fisher-Yates by a Mersenne twister of 32 bits."""
    numbers = _mersenne_twister(seed & 0xFFFF_FFFF)
    for at in range(len(hosts)):
        other = at + _below(len(hosts) - at, numbers)
        hosts[at], hosts[other] = hosts[other], hosts[at]
        yield hosts[at]


def _below(limit: int, numbers: Iterator[int]) -> int:
    return next(number for number in (raw // ((1 << 32) // limit) for raw in numbers) if number < limit)


def _mersenne_twister(seed: int) -> Iterator[int]:
    """Yield the outputs of `std::mt19937(seed)`, which are those of NumPy's frozen generator."""
    generator = np.random.RandomState(seed)
    while True:
        yield from generator.randint(0, 1 << 32, size=_BATCH, dtype=np.uint32).tolist()
