"""The rings of memcached clients: points and look-ups recorded from the clients themselves."""

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ringfence.compat import memcached
from ringfence.errors import InvalidType, InvalidValue

Vectors = Callable[[str], Any]


def test_libketama_with_weights(vectors: Vectors) -> None:
    recorded = vectors("libketama_weighted")
    ring = memcached.ring(dict(recorded["servers"]), client="libketama")
    assert len(ring.points) == recorded["points"]
    assert Counter(server for _, server in ring.points) == recorded["points_per_server"]
    for key, key_hash, point, server in recorded["samples_key_keyhash_point_server"]:
        assert ring[key] == ring.at(key_hash) == server
        assert (point, server) in ring.points


@pytest.mark.slow
def test_the_million_look_ups_of_libketamas_own_test(vectors: Vectors) -> None:
    recorded = vectors("libketama_weighted")
    ring = memcached.ring(dict(recorded["servers"]), client="libketama")
    points, digest = ring.points, hashlib.md5(b"\n")
    numbers = [point for point, _ in points]
    for i in range(1000000):
        key_hash = ring._system.key_hash(str(i))
        point, server = points[bisect_left(numbers, key_hash) % len(points)]
        assert ring.at(key_hash) == server
        digest.update(b"%d %d %s\n" % (key_hash, point, server.encode()))
    assert digest.hexdigest() == recorded["md5_of_stream"]


def test_libketama_of_61_equal_servers_has_39_hashes_each(vectors: Vectors) -> None:
    recorded = vectors("ketama_equal_weight_float_trap")["libketama61"]["key_server"]
    ring = memcached.ring([f"10.0.0.{i}:11211" for i in range(61)], client="libketama")
    assert set(Counter(server for _, server in ring.points).values()) == {39 * 4}
    assert [ring[key] for key, _ in recorded] == [server for _, server in recorded]


def test_libmemcached_of_25_equal_servers_has_39_hashes_each(vectors: Vectors) -> None:
    recorded = vectors("ketama_equal_weight_float_trap")["libmemcached25"]["key_index"]
    ring = memcached.ring([f"10.0.0.{i}:11212" for i in range(25)], client="libmemcached-weighted")
    assert set(Counter(server for _, server in ring.points).values()) == {39 * 4}
    assert ring.lookup_many([key for key, _ in recorded]).tolist() == [index for _, index in recorded]


def test_the_sizes_at_which_equal_weights_lose_a_hash(vectors: Vectors) -> None:
    recorded = vectors("ketama_equal_weight_float_trap")
    libketama = [n for n in range(1, 1001) if memcached._libketama_hashes(1, n, n) == 39]
    assert libketama == recorded["libketama_n_with_39"]
    libmemcached = [n for n in range(1, 1001) if memcached._weighted_hashes(1, n, n) == 39]
    assert libmemcached[:20] == recorded["libmemcached_n_with_39_first"]
    assert len(libmemcached) == 103


def test_libmemcached_with_weights(vectors: Vectors) -> None:
    for case in vectors("libmemcached_ketama_weighted")["cases"]:
        servers = {f"{host}:{port}": weight for host, port, weight in case["servers"]}
        ring = memcached.ring(servers, client="libmemcached-weighted")
        points = Counter(server for _, server in ring.points)
        assert [points[server] for server in servers] == case.get(
            "points_per_server", [points[server] for server in servers]
        )
        keys, indices = zip(*case["lookups"], strict=True)
        assert ring.lookup_many(keys).tolist() == list(indices)


def test_libmemcached_without_weights_and_as_spy(vectors: Vectors) -> None:
    for case in vectors("libmemcached_ketama_and_spy")["cases"]:
        ring = memcached.ring(case["servers"], client=case["client"])
        keys, indices = zip(*case["lookups"], strict=True)
        assert ring.lookup_many(keys).tolist() == list(indices), case["client"]
        assert [ring[key] for key in keys] == [ring.nodes[index] for index in indices]


def test_spymemcached(vectors: Vectors) -> None:
    for case in vectors("spymemcached_ketama")["cases"]:
        ring = memcached.ring(case["servers"], client="spymemcached")
        assert [ring[key] for key, _ in case["lookups"]] == [server for _, server in case["lookups"]]


def test_twemproxy(vectors: Vectors) -> None:
    for case in vectors("twemproxy_ketama")["cases"]:
        ring = memcached.ring(case["servers"], client="twemproxy", hash=case["hash"])
        keys, indices = zip(*case["lookups"], strict=True)
        assert ring.lookup_many(keys).tolist() == list(indices), case["hash"]


def test_a_hash_tag_stands_for_the_key() -> None:
    ring = memcached.ring([f"10.0.0.{i}:11211" for i in range(20)], client="twemproxy", hash_tag="{}")
    plain = memcached.ring([f"10.0.0.{i}:11211" for i in range(20)], client="twemproxy")
    for i in range(50):
        assert ring[f"user:{{{i}}}:name"] == ring[f"{{{i}}}"] == plain[str(i)]
        assert ring[f"{{}}:{i}"] == plain[f"{{}}:{i}"]  # an empty tag counts for nothing
        assert ring[f"{{{i}"] == plain[f"{{{i}"]  # nor does an open one


def test_an_empty_key_has_the_hash_0_in_twemproxy() -> None:
    ring = memcached.ring(["a:1", "b:2", "c:3"], client="twemproxy")
    assert ring[""] == ring.at(0)


def test_a_name_in_twemproxy_stands_for_the_address() -> None:
    before = memcached.ring({"10.0.0.1:11211 one": 1, "10.0.0.2:11211 two": 1}, client="twemproxy")
    after = memcached.ring({"10.9.9.1:11211 one": 1, "10.9.9.2:11211 two": 1}, client="twemproxy")
    keys = [str(i) for i in range(200)]
    assert before.lookup_many(keys).tolist() == after.lookup_many(keys).tolist()


def test_a_weight_of_0_is_1_to_libmemcached() -> None:
    servers = {"a:1": 0, "b:2": 3}
    assert memcached.ring(servers, client="libmemcached").node("a:1").weight == 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"client": "pylibmc"}, "client must be one of 'libketama', 'libmemcached'"),
        ({"servers": {}}, "at least one server"),
        ({"servers": ["a:1", "a:1"]}, "'a:1' is named twice"),
        ({"servers": {"a": 1}, "client": "libmemcached"}, "'host:port', not 'a'"),
        ({"servers": {"a:x": 1}, "client": "libmemcached-weighted"}, "'host:port', not 'a:x'"),
        ({"servers": {"a:0": 1}, "client": "libmemcached-spy"}, "'host:port', not 'a:0'"),
        ({"servers": {":1": 1}, "client": "twemproxy"}, "'host:port', not ':1'"),
        ({"servers": {"a:1 ": 1}, "client": "twemproxy"}, "no name after it"),
        ({"servers": {"a:1": 0}}, "the weight of 'a:1' must be at least 1, not 0"),
        ({"servers": {"a:1": -1}, "client": "libmemcached"}, "at least 0, not -1"),
        ({"servers": {"": 1}}, "must not be empty"),
        ({"servers": {"cache-1.example.org:11211": 1}}, "21 characters"),
        ({"hash": "murmur"}, "options of twemproxy"),
        ({"client": "twemproxy", "hash": "sha1"}, "hash must be one of 'one_at_a_time'"),
        ({"client": "twemproxy", "hash_tag": "{"}, "two ASCII characters"),
    ],
)
def test_bad_values(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        memcached.ring(**{"servers": {"a:1": 1}, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"servers": "a:1"},
        {"servers": 3},
        {"servers": {b"a:1": 1}},
        {"servers": {"a:1": 1.5}},
        {"servers": {"a:1": True}},
        {"servers": {"a:1": "1"}},
        {"servers": {"a:1": 1}, "client": "twemproxy", "hash_tag": 5},
    ],
)
def test_bad_types(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidType):
        memcached.ring(**arguments)
