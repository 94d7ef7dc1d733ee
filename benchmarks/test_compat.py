"""Rings of other systems beside `HashRing` and beside their own libraries: 100 nodes, keys like `user:123456`."""

import random
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ringfence import _core
from ringfence.compat import cassandra, envoy, fastring, memcached, tooz
from ringfence.compat import uhashring as own_uhashring
from ringfence.placement import HashRing

RANDOM = random.Random(1)
KEYS = [f"user:{RANDOM.randrange(100_000, 1_000_000)}" for _ in range(4096)]
BYTES = [key.encode() for key in KEYS]
SERVERS = [f"10.0.0.{i}:11211" for i in range(100)]

pytestmark = pytest.mark.skipif(_core.IMPLEMENTATION != "c", reason="targets of the compiled core")


def peer(name: str) -> Any:
    """Return the library of a peer; skip where it is not installed."""
    if find_spec(name.partition(".")[0]) is None:
        pytest.skip(f"{name} is not installed")
    return import_module(name)


def subscripts(mapping: Any) -> Callable[[], None]:
    def work() -> None:
        for key in KEYS:
            mapping[key]

    return work


def calls(function: Callable[[Any], Any], keys: list[Any] = KEYS) -> Callable[[], None]:
    def work() -> None:
        for key in keys:
            function(key)

    return work


# Each ring beside a HashRing that hashes its keys by the same hash: what is left is the search and the call.
SAME_HASH: dict[str, tuple[Callable[[list[str]], Any], str]] = {
    "libketama": (lambda nodes: memcached.ring(nodes), "md5"),
    "uhashring default": (lambda nodes: own_uhashring.ring(nodes), "md5"),
    "tooz": (lambda nodes: tooz.ring(nodes), "md5"),
    "fastring": (lambda nodes: fastring.ring(nodes), "xxh3"),
    "Envoy ring_hash": (lambda nodes: envoy.ring_hash(nodes), "xxh64"),
}
every_ring = pytest.mark.parametrize("name", SAME_HASH)


@every_ring
def test_one_key_beside_a_ring_of_the_same_hash(race: Any, name: str) -> None:
    make, key_hash = SAME_HASH[name]
    ours, ring = subscripts(make(SERVERS)), subscripts(HashRing(SERVERS, hash=key_hash))
    race(
        f"{name}[key] / HashRing(hash={key_hash!r})[key]",
        ours,
        ring,
        operations=4096,
        at_most=1.3,
        rounds=100,
    )


@every_ring
def test_a_batch_beside_a_ring_of_the_same_hash(race: Any, name: str) -> None:
    make, key_hash = SAME_HASH[name]
    other, ring = make(SERVERS), HashRing(SERVERS, hash=key_hash)
    race(
        f"{name}, batch / HashRing(hash={key_hash!r}), batch",
        lambda: other.lookup_many(KEYS),
        lambda: ring.lookup_many(KEYS),
        operations=4096,
        at_most=1.3,
        rounds=200,
    )


# XXH3 takes no longer than MurmurHash3, so that nothing is to be subtracted.
def test_one_key_beside_the_common_ring(race: Any) -> None:
    ours, ring = subscripts(fastring.ring(SERVERS)), subscripts(HashRing(SERVERS))
    race("fastring[key] / HashRing[key]", ours, ring, operations=4096, at_most=1.3, rounds=200)


def test_a_batch_beside_the_common_ring(race: Any) -> None:
    other, ring = fastring.ring(SERVERS), HashRing(SERVERS)
    race(
        "fastring, batch / HashRing, batch",
        lambda: other.lookup_many(KEYS),
        lambda: ring.lookup_many(KEYS),
        operations=4096,
        at_most=1.3,
        rounds=300,
    )


@pytest.fixture
def binding(tmp_path: Path) -> Any:
    """Return the C of libketama in Python."""
    listed = tmp_path / "servers"
    listed.write_text("".join(f"{server}\t1\n" for server in SERVERS))
    return peer("ketama").Ketama(str(listed))


def test_libketama_beside_the_binding_of_its_c(race: Any, binding: Any) -> None:
    ring = memcached.ring(SERVERS)
    what = "libketama, one key, C binding"
    race(what, subscripts(ring), calls(binding.get_server), operations=4096, at_least=2.5, rounds=100)


def test_a_batch_of_libketama_beside_a_loop_over_the_binding(race: Any, binding: Any) -> None:
    ring = memcached.ring(SERVERS)
    what = "libketama, batch, loop over the C binding"
    race(what, lambda: ring.lookup_many(KEYS), calls(binding.get_server), operations=4096, at_least=2.5)


def test_libketama_beside_uhashring(race: Any) -> None:
    other = peer("uhashring").HashRing(SERVERS, hash_fn="ketama")
    ring = memcached.ring(SERVERS)
    race(
        "libketama, one key, uhashring's ketama",
        subscripts(ring),
        calls(other.get_node),
        operations=4096,
        at_least=9,
    )


def cluster(nodes: int, tokens: int) -> tuple[dict[str, list[int]], dict[str, tuple[str, str]]]:
    """Return random tokens of nodes in three data centres of five racks."""
    names = [f"10.0.{i // 256}.{i % 256}" for i in range(nodes)]
    numbers = {name: [RANDOM.randrange(-(2**63), 2**63) for _ in range(tokens)] for name in names}
    return numbers, {name: (f"dc{i % 3}", f"r{i // 3 % 5}") for i, name in enumerate(names)}


def drivers_token_map(
    tokens: dict[str, list[int]], topology: dict[str, tuple[str, str]], keyspace: Any
) -> Any:
    """Return the token map of cassandra-driver for one keyspace."""
    metadata, pool = peer("cassandra.metadata"), peer("cassandra.pool")
    policies = import_module("cassandra.policies")
    known, ring, owner = metadata.Metadata(), [], {}
    for name, numbers in tokens.items():
        host = pool.Host(name, policies.SimpleConvictionPolicy)
        host.set_location_info(*topology[name])
        known.add_or_return_host(host)
        for number in numbers:
            owner[metadata.Murmur3Token(number)] = host
    ring = sorted(owner)
    made = metadata.TokenMap(metadata.Murmur3Token, owner, ring, known)
    known.keyspaces["ks"] = metadata.KeyspaceMetadata("ks", True, "NetworkTopologyStrategy", keyspace)
    made.rebuild_keyspace("ks", build_if_absent=True)
    return made


@pytest.mark.parametrize("replication", [{"dc0": 3}, {"dc0": 1, "dc1": 1, "dc2": 1}], ids=["one", "three"])
def test_cassandra_beside_its_driver(race: Any, replication: dict[str, int]) -> None:
    tokens, topology = cluster(100, 16)
    ring = cassandra.TokenRing(tokens, topology)
    driver = drivers_token_map(tokens, topology, {name: str(count) for name, count in replication.items()})
    token_of = peer("cassandra.metadata").Murmur3Token.from_key

    def ours() -> None:
        for key in BYTES:
            ring.replicas(key, replication)

    def drivers() -> None:
        for key in BYTES:
            driver.get_replicas("ks", token_of(key))

    centres = "1 data centre" if len(replication) == 1 else f"{len(replication)} data centres"
    what = f"Cassandra, token and 3 replicas in {centres}, cassandra-driver"
    race(what, ours, drivers, operations=4096, at_least=15)


def test_a_token_map_is_ready_at_once(race: Any) -> None:
    tokens, topology = cluster(1000, 256)
    wanted = {"dc0": 3, "dc1": 3, "dc2": 3}

    def work() -> None:
        ring = cassandra.TokenRing(tokens, topology)
        for key in BYTES[:100]:
            ring.replicas(key, wanted)

    race("Cassandra, 1,000 x 256 tokens and 100 look-ups", work, at_most=0.3, rounds=9)
