"""The clients themselves, asked what they would do; hashring and uhashring are asked in `test_python_rings.py`."""

import importlib
import random
import sys
from types import ModuleType
from typing import Any

import pytest

from ringfence.compat import cassandra, fastring, guava, kafka, redis_cluster, tooz

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
]  # what others' imports warn of is theirs


def client(name: str) -> Any:
    """Return a module of an installed client; its absence fails the test, for nothing is skipped in silence."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        pytest.fail(f"{name} is missing: pip install --group compat-test")


@pytest.fixture
def chance() -> random.Random:
    return random.Random(20260101)


def random_keys(chance: random.Random, count: int, least: int = 0) -> list[bytes]:
    return [chance.randbytes(chance.randrange(least, 40)) for _ in range(count)]


def test_tooz(chance: random.Random) -> None:
    peers: ModuleType = client("tooz.hashring")
    for _ in range(20):
        nodes = {
            f"node{chance.randrange(10**6)}": chance.choice([1, 1, 2, 5])
            for _ in range(chance.randrange(1, 20))
        }
        peer, ring = peers.HashRing([]), tooz.ring(nodes)
        for name, weight in nodes.items():
            peer.add_node(name, weight)
        for key in random_keys(chance, 200):
            assert {ring[key]} == peer.get_nodes(key)
            assert set(ring.replicas(key, 3)) == peer.get_nodes(key, replicas=3)


def test_cassandra_tokens(chance: random.Random) -> None:
    metadata = client("cassandra.metadata")
    for key in random_keys(
        chance, 5000, least=1
    ):  # the driver gives an empty key another token than the server
        assert cassandra.token(key) == metadata.Murmur3Token.from_key(key).value
        assert cassandra.token(key, "random") == metadata.MD5Token.hash_fn(key)


def test_cassandra_simple_strategy(chance: random.Random) -> None:
    metadata = client("cassandra.metadata")
    for _ in range(20):
        nodes = [f"n{i}" for i in range(chance.randrange(1, 9))]
        owners = {chance.getrandbits(64) - 2**63: chance.choice(nodes) for _ in range(40)}
        ring = cassandra.TokenRing({node: [t for t in owners if owners[t] == node] for node in nodes})
        ordered = [metadata.Murmur3Token(number) for number in sorted(owners)]
        factor = chance.randrange(1, 5)
        peer = metadata.SimpleStrategy({"replication_factor": str(factor)}).make_token_replica_map(
            {token: owners[token.value] for token in ordered}, ordered
        )
        for token in ordered:
            assert ring.replicas(token.value, factor) == tuple(peer[token])


def test_kafka(chance: random.Random) -> None:
    murmur2 = client("kafka.partitioner.default").murmur2
    partitioner = client("aiokafka.partitioner").DefaultPartitioner()
    for key in random_keys(chance, 5000):
        partitions = list(range(chance.randrange(1, 2000)))
        expected = (murmur2(key) & 0x7FFFFFFF) % len(partitions)
        assert kafka.partition(key, len(partitions)) == partitioner(key, partitions, partitions) == expected


def test_guava(chance: random.Random) -> None:
    guavahash = client("guavahash")
    for _ in range(20000):
        number = chance.getrandbits(64) - 2**63
        buckets = chance.randrange(1, chance.choice([5, 1000, 10**6]))
        assert guava.consistent_hash(number, buckets) == guavahash.guava(number, buckets)


def test_redis_cluster(chance: random.Random) -> None:
    key_slot = client("redis.crc").key_slot
    for key in [*random_keys(chance, 5000), b"{a}b", b"{}a", b"a{b}{c}", b"{{a}}", b"}a{", b"{a"]:
        assert redis_cluster.slot(key) == key_slot(key)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="fastring 0.2.1 has wheels for Python 3.13 only")
def test_fastring(chance: random.Random) -> None:
    peers = client("fastring")
    for _ in range(10):
        nodes = {
            f"node{chance.randrange(10**6)}": chance.choice([1, 2, 3]) for _ in range(chance.randrange(1, 20))
        }
        peer, ring = peers.HashRing(virtual_nodes=32), fastring.ring(nodes, virtual_nodes=32)
        for name, weight in nodes.items():
            peer.add_node(name, weight=weight)
        for key in (key.hex() for key in random_keys(chance, 200)):
            assert ring[key] == peer.get_node(key)
            assert list(ring.replicas(key, 3)) == peer.get_replicas(key, 3)
