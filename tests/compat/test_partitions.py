"""Systems that number their partitions, slots and buckets: Kafka, Redis Cluster and Guava."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence._core.digests import digest
from ringfence.compat import guava, kafka, redis_cluster
from ringfence.compat.redis_cluster import SlotMap
from ringfence.errors import InvalidType, InvalidValue, PlacementError

Vectors = Callable[[str], Any]


def test_murmur2_of_the_java_client(vectors: Vectors) -> None:
    recorded = vectors("kafka_murmur2")
    rows = [(key.encode(), number) for key, number in recorded["murmur2_int32"]]
    rows += [(bytes.fromhex(key), number) for key, number in recorded["random_hex_int32"]]
    assert [digest("murmur2", key, 0x9747B28C) for key, _ in rows] == [number % 2**32 for _, number in rows]
    assert [kafka.partition(key, 1000) for key, _ in rows] == [
        (number & 0x7FFFFFFF) % 1000 for _, number in rows
    ]
    for key, partition in recorded["partition_of_1000_hex"]:
        assert kafka.partition(bytes.fromhex(key), 1000) == partition


def test_librdkafka(vectors: Vectors) -> None:
    for partitioner, rows in vectors("librdkafka_partitioners")["partition_of_1000_hex"].items():
        for key, partition in rows:
            assert kafka.partition(bytes.fromhex(key), 1000, partitioner) == partition
            if key:
                assert kafka.partition(bytes.fromhex(key), 1000, f"{partitioner}_random") == partition


def test_a_record_without_a_key() -> None:
    for partitioner in ("murmur2", "consistent", "fnv1a"):
        assert kafka.partition(None, 7, partitioner) == kafka.partition(b"", 7, partitioner)
        with pytest.raises(InvalidValue, match="by chance"):
            kafka.partition(None, 7, f"{partitioner}_random")
    assert kafka.partition(b"", 7, "murmur2_random") == kafka.partition(b"", 7)
    with pytest.raises(InvalidValue, match="by chance"):
        kafka.partition(b"", 7, "consistent_random")


def test_bad_arguments_of_kafka() -> None:
    with pytest.raises(InvalidType, match="as it was serialised"):
        kafka.partition("key", 7)  # type: ignore[arg-type]
    for partitions in (0, -1, 2**31):
        with pytest.raises(InvalidValue, match="partitions must be"):
            kafka.partition(b"key", partitions)
    with pytest.raises(InvalidType, match="partitions must be an int"):
        kafka.partition(b"key", 7.0)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="partitioner must be one of 'murmur2'"):
        kafka.partition(b"key", 7, "random")


def test_guava(vectors: Vectors) -> None:
    recorded = vectors("guava_consistentHash")
    for key, buckets, bucket in recorded["rows_key_buckets_result"]:
        assert guava.consistent_hash(int(key), buckets) == bucket
    for key, buckets, results in recorded["guava_vs_jump_divergence"]:
        assert guava.consistent_hash(int(key), buckets) == results["guava"] != results["jump"]


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**31 - 2))
def test_a_bucket_more_moves_keys_only_there(key: int, buckets: int) -> None:
    before, after = guava.consistent_hash(key, buckets), guava.consistent_hash(key, buckets + 1)
    assert after in (before, buckets)


@given(st.integers(-(2**63), -1), st.integers(1, 1000))
def test_a_java_long_below_0_is_its_bits(key: int, buckets: int) -> None:
    assert guava.consistent_hash(key, buckets) == guava.consistent_hash(key + 2**64, buckets)


def test_a_step_that_overflows_a_java_int_ends_the_search() -> None:
    overflowing = (2**64 - 1 - 1) * pow(2862933555777941757, -1, 2**64) % 2**64
    assert guava.consistent_hash(overflowing, 2**31 - 1) == 0


def test_bad_arguments_of_guava() -> None:
    for buckets in (0, -1, 2**31):
        with pytest.raises(InvalidValue, match="buckets must be"):
            guava.consistent_hash(1, buckets)
    with pytest.raises(InvalidValue, match="hash must be at most"):
        guava.consistent_hash(2**64, 1)
    with pytest.raises(InvalidType, match="hash must be an int"):
        guava.consistent_hash("1", 1)  # type: ignore[arg-type]


def test_slots(vectors: Vectors) -> None:
    for key, slot in vectors("redis_cluster_slots")["key_hex_slot"]:
        assert redis_cluster.slot(bytes.fromhex(key)) == slot
    assert redis_cluster.slot("123456789") == 0x31C3


@given(st.binary())
def test_a_slot_is_that_of_the_crc_written_out(key: bytes) -> None:
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    data = key[start + 1 : end] if start >= 0 and end > start + 1 else key
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    assert redis_cluster.slot(key) == crc % 16384


SLOTS_REPLY = [
    [0, 5460, [b"10.0.0.1", 7000, b"id1", []], [b"10.0.0.4", 7003, b"id4", []]],
    [5461, 10922, ["10.0.0.2", 7001, "id2"]],
    [10923, 16383, [b"10.0.0.3", 7002, b"id3"]],
]
SHARDS_REPLY = [
    [
        b"slots",
        [0, 5460],
        b"nodes",
        [
            [b"id", b"id4", b"port", 7003, b"ip", b"10.0.0.4", b"endpoint", b"10.0.0.4", b"role", b"replica"],
            [b"id", b"id1", b"port", 7000, b"ip", b"10.0.0.1", b"endpoint", b"10.0.0.1", b"role", b"master"],
        ],
    ],
    {"slots": [5461, 7000, 7001, 10922], "nodes": [{"tls-port": 7001, "ip": "10.0.0.2", "role": "master"}]},
    {"slots": [10923, 16383], "nodes": [{"port": 7002, "ip": "10.0.0.3", "role": "master"}]},
    {"slots": [], "nodes": [{"port": 7009, "ip": "10.0.0.9", "role": "master"}]},
]


@pytest.mark.parametrize("made", [SlotMap.from_slots(SLOTS_REPLY), SlotMap.from_shards(SHARDS_REPLY)])
def test_a_slot_map(made: SlotMap) -> None:
    assert made.nodes == ("10.0.0.1:7000", "10.0.0.2:7001", "10.0.0.3:7002")
    keys = [f"key{i}" for i in range(500)]
    bounds = [5460, 10922, 16383]
    expected = [made.nodes[int(np.searchsorted(bounds, redis_cluster.slot(key)))] for key in keys]
    assert [made[key] for key in keys] == [made.lookup(key) for key in keys] == expected
    assert [made.nodes[i] for i in made.lookup_many(keys)] == expected
    low = next(key for key in keys if redis_cluster.slot(key) <= 5460)
    assert made.replicas(low, 1) == ("10.0.0.1:7000",)
    assert made.replicas(low, 5) == ("10.0.0.1:7000", "10.0.0.4:7003")
    assert made.slots_of("10.0.0.2:7001").tolist() == list(range(5461, 10923))
    assert repr(made) == "<SlotMap of 3 primaries, 16384 of 16384 slots>"


def test_a_slot_that_no_node_serves() -> None:
    part = SlotMap([(0, 100, ["a:1"])])
    free = next(key for i in range(100) if redis_cluster.slot(key := f"key{i}") > 100)
    for ask in (part.lookup, lambda key: part.lookup_many(["key", key])):
        with pytest.raises(PlacementError, match="no node serves slot"):
            ask(free)


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ([(0, 16384, ["a:1"])], "at most 16383"),
        ([(5, 4, ["a:1"])], "at least 5"),
        ([(0, 9, ["a:1"]), (9, 12, ["b:1"])], "slot 9 is given twice"),
        ([(0, 9, [])], "no node"),
    ],
)
def test_bad_slot_maps(ranges: list[tuple[int, int, list[str]]], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        SlotMap(ranges)


def test_bad_replies() -> None:
    with pytest.raises(InvalidType, match="a shard must be a mapping or a list"):
        SlotMap.from_shards([3])
    with pytest.raises(InvalidType, match="the port must be an int"):
        SlotMap.from_slots([[0, 9, ["a", "x"]]])
    with pytest.raises(InvalidType):
        redis_cluster.slot(5)  # type: ignore[arg-type]
