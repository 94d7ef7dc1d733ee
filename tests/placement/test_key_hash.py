"""Rings that hash their keys otherwise, against the hashes of others and a search of all points."""

import hashlib
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import mmh3
import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.errors import EmptyRing, InvalidType, InvalidValue, RingfenceError
from ringfence.placement import HashRing, KeyDiff, Node
from ringfence.placement.key_hash import NAMED

MOST = (1 << 64) - 1
WEIGHTS = {"a": 1.0, "b": 2.5, "é": 0.3, "d": 1.0, "e": 1.0}
KEYS: list[Any] = ["", "a", "é", "user:123456", "x" * 300, b"", b"\xff\x00", 0, 7, 1 << 63, MOST]

Ring: Any = HashRing


def blake(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def first_digits(name: str) -> Callable[[bytes], int]:
    return lambda data: int(hashlib.new(name, data).hexdigest()[:16], 16)


ORACLES: dict[Any, Callable[[bytes], int]] = {
    "xxh64": xxhash.xxh64_intdigest,
    "xxh3": xxhash.xxh3_64_intdigest,
    "md5": first_digits("md5"),
    "sha1": first_digits("sha1"),
    blake: blake,
}

named = pytest.mark.parametrize("key_hash", ORACLES, ids=lambda value: getattr(value, "__name__", value))

keys = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=80), st.integers(0, MOST)
)


def as_bytes(key: Any) -> bytes:
    if isinstance(key, str):
        return key.encode()
    return key if isinstance(key, bytes) else int(key).to_bytes(8, "little")


def expected(ring: HashRing, place: int) -> list[str]:
    """Look at every point: the distinct owners from `place` on."""
    pairs = list(zip(ring.points[:-4].tolist(), ring.owners[:-1].tolist(), strict=True))
    order = [pair for pair in pairs if pair[0] >= place] + [pair for pair in pairs if pair[0] < place]
    return list(dict.fromkeys(ring.nodes[owner] for _, owner in order))


def test_every_hash_that_has_a_name_is_tested() -> None:
    assert {*NAMED} == {name for name in ORACLES if isinstance(name, str)} | {"murmur3"}


@named
@settings(deadline=None)
@given(batch=st.lists(keys, min_size=1, max_size=8))
def test_all_ways_to_ask_agree_with_a_search_of_all_points(key_hash: Any, batch: list[Any]) -> None:
    ring = HashRing(WEIGHTS, vnodes=7, hash=key_hash)
    orders = [expected(ring, ORACLES[key_hash](as_bytes(key))) for key in batch]
    assert [ring[key] for key in batch] == [ring.lookup(key) for key in batch] == [o[0] for o in orders]
    assert [ring.nodes[owner] for owner in ring.lookup_many(batch)] == [order[0] for order in orders]
    assert [list(ring.replicas(key, 3)) for key in batch] == [order[:3] for order in orders]
    rows = ring.replicas_many(batch, 4)
    assert [[ring.nodes[owner] for owner in row] for row in rows] == [order[:4] for order in orders]


@named
def test_columns_are_placed_as_their_keys(key_hash: Any) -> None:
    pa: Any = pytest.importorskip("pyarrow")
    ring = HashRing(WEIGHTS, hash=key_hash)
    text, data = (
        [key for key in KEYS if isinstance(key, str)],
        [key for key in KEYS if isinstance(key, bytes)],
    )
    numbers = np.array([0, 1, 7, 1 << 63, MOST], np.uint64)
    pairs: list[tuple[Any, list[Any]]] = [
        *((pa.array(text, kind), text) for kind in (pa.utf8(), pa.large_utf8(), pa.string_view())),
        *((pa.array(data, kind), data) for kind in (pa.binary(), pa.binary_view())),
        (pa.array([b"ab", b"\0\0"], pa.binary(2)), [b"ab", b"\0\0"]),
        (pa.array(text).dictionary_encode(), text),
        (pa.chunked_array([text[:2], text[2:]]), text),
        (np.array(text), text),
        (np.array([b"ab", b"c", b""]), [b"ab", b"c", b""]),
        (numbers, numbers.tolist()),
        (numbers[::-2], numbers[::-2].tolist()),
        (np.arange(5, dtype=">i2"), list(range(5))),
        (pa.array(numbers), numbers.tolist()),
        (np.array([], np.int64), []),
    ]
    for column, same in pairs:
        owners = [ring.nodes.index(ring[key]) for key in same]
        assert ring.lookup_many(column).tolist() == ring.lookup_many(column, threads=3).tolist() == owners
        assert ring.replicas_many(column, 1).tolist() == [[owner] for owner in owners]
    with_null = pa.array(["a", None, "b"])
    found = ring.lookup_many(with_null, null="d").tolist()
    assert found == [ring.nodes.index(name) for name in (ring["a"], "d", ring["b"])]


@named
def test_both_twins_hash_alike(twins: dict[str, SimpleNamespace], key_hash: Any) -> None:
    from ringfence.placement.key_hash import kind

    for twin in twins.values():
        hashing = twin.hashing
        places = [ORACLES[key_hash](as_bytes(key)) for key in KEYS]
        assert [hashing.key_hash(key, kind(key_hash)) for key in KEYS] == places
        assert hashing.key_hash_many(KEYS, kind=kind(key_hash)).tolist() == places
        texts = np.array(["a", "é", "x" * 40])
        found = hashing.key_hash_many(texts, kind=kind(key_hash)).tolist()
        assert found == [ORACLES[key_hash](key.encode()) for key in texts.tolist()]


@named
def test_a_change_keeps_the_hash_and_a_diff_is_exact(key_hash: Any) -> None:
    ring = HashRing(WEIGHTS, hash=key_hash)
    batch = [f"user:{i}" for i in range(500)]
    for new in (ring.with_node("f"), ring.without_node("a"), ring.with_weight("b", 0.5)):
        assert new.hash == key_hash
        assert new == HashRing([new.node(name) for name in new], hash=key_hash)
        moved = [ring[key] != new[key] for key in batch]
        migration = ring.diff(new)
        assert 0 < sum(moved) < 500
        assert migration.affected(batch).tolist() == KeyDiff(ring, new).affected(batch).tolist() == moved
        assert [migration.moves_key(key) for key in batch[:50]] == moved[:50]
        assert pickle.loads(pickle.dumps(migration)).affected(batch).tolist() == moved


@named
def test_copies_pickles_equality_and_repr(key_hash: Any) -> None:
    ring = HashRing(WEIGHTS, hash=key_hash, epoch=3)
    again = pickle.loads(pickle.dumps(ring))
    assert again == ring
    assert (again.hash, again.epoch, again["x"]) == (key_hash, 3, ring["x"])
    assert hash(again) == hash(ring)
    assert ring != HashRing(WEIGHTS)
    assert ring.points.tolist() == HashRing(WEIGHTS).points.tolist()
    assert ring.load() == HashRing(WEIGHTS).load()
    assert ("hash=blake, " if key_hash is blake else f"hash={key_hash}, ") in repr(ring)


@named
def test_zones_and_empty_rings(key_hash: Any) -> None:
    ring = HashRing([Node("a", zone="1"), Node("b", zone="1"), Node("c", zone="2")], hash=key_hash)
    for key in KEYS:
        pair = ring.replicas(key, 2, distinct="zone")
        assert pair[0] == ring[key]
        assert "c" in pair
    empty: Any = HashRing(hash=key_hash)
    for ask in (empty.__getitem__, empty.lookup, lambda key: empty.lookup_many([key])):
        with pytest.raises(EmptyRing):
            ask("x")
    with pytest.raises(EmptyRing):
        empty.replicas("x", 2)


def test_murmur3_is_the_default_and_rings_pickled_before_there_were_others_have_it() -> None:
    ring = HashRing(WEIGHTS)
    assert ring == HashRing(WEIGHTS, hash="murmur3")
    assert ring.hash == "murmur3"
    restore, (kind, members, options, epoch) = ring.__reduce__()
    assert restore(kind, members, {"vnodes": options["vnodes"], "seed": options["seed"]}, epoch) == ring

    def by_hand(data: bytes) -> int:
        word: int = mmh3.mmh3_x64_128_utupledigest(data, 0)[0]
        return word

    other = HashRing(WEIGHTS, hash=by_hand)
    assert [other[key] for key in KEYS[:7]] == [ring[key] for key in KEYS[:7]]


def test_rings_with_other_hashes_have_no_arcs_in_common() -> None:
    old, new = HashRing(WEIGHTS), HashRing(WEIGHTS, hash="md5")
    with pytest.raises(InvalidValue, match=r"'murmur3'.*'md5'.*KeyDiff"):
        old.diff(new)
    batch = [f"user:{i}" for i in range(300)]
    moved = [old[key] != new[key] for key in batch]
    assert KeyDiff(old, new).affected(batch).tolist() == moved


@pytest.mark.parametrize(
    ("key_hash", "error", "says"),
    [
        ("md4", InvalidValue, "one of murmur3, .*md5.*not 'md4'"),
        ("", InvalidValue, "not ''"),
        (None, InvalidType, "NoneType: None"),
        (3, InvalidType, "int: 3"),
        (b"md5", InvalidType, "bytes: b'md5'"),
    ],
)
def test_what_is_no_hash(key_hash: Any, error: type[RingfenceError], says: str) -> None:
    with pytest.raises(error, match=says):
        Ring(["a"], hash=key_hash)


@pytest.mark.parametrize(
    ("result", "error", "says"),
    [
        (1.5, InvalidType, "int, not float: 1.5"),
        (None, InvalidType, "int, not NoneType"),
        (True, InvalidType, "int, not bool"),
        ("7", InvalidType, "int, not str: '7'"),
        (-1, InvalidValue, "not -1"),
        (1 << 64, InvalidValue, "not 18446744073709551616"),
    ],
)
def test_a_bad_result_of_a_function_is_refused(result: Any, error: type[RingfenceError], says: str) -> None:
    def wrong(data: bytes) -> Any:
        return result

    ring = Ring(["a", "b"], hash=wrong)
    asks: list[Callable[[], Any]] = [
        lambda: ring["k"],
        lambda: ring.lookup(b"k"),
        lambda: ring.lookup_many(["k"]),
        lambda: ring.lookup_many(np.array(["k"])),
        lambda: ring.replicas("k", 2),
        lambda: ring.replicas_many(["k"], 2),
    ]
    for ask in asks:
        with pytest.raises(error, match=rf"wrong\(b'k'\) must be .*{says}"):
            ask()


def test_what_counts_as_an_int_is_a_result_and_an_error_comes_through() -> None:
    ring = Ring(["a", "b"], hash=lambda data: np.uint64(5))
    assert (
        ring["x"] == ring.nodes[ring.lookup_many(["x"])[0]] == HashRing(["a", "b"], hash=lambda data: 5)["x"]
    )

    def broken(data: bytes) -> int:
        raise ZeroDivisionError

    for ask in (Ring(["a"], hash=broken).lookup, lambda key: Ring(["a"], hash=broken).lookup_many([key])):
        with pytest.raises(ZeroDivisionError):
            ask("x")


@named
def test_keys_are_refused_as_ever(key_hash: Any) -> None:
    ring = Ring(["a"], hash=key_hash)
    for key, error in (
        (None, InvalidType),
        (True, InvalidType),
        (1.5, InvalidType),
        (-1, InvalidValue),
        ("\ud800", InvalidValue),
    ):
        for ask in (ring.__getitem__, ring.lookup, lambda key: ring.lookup_many([key])):
            with pytest.raises(error):
                ask(key)


def test_a_function_gets_bytes_and_nothing_else() -> None:
    got = []

    def note(data: bytes) -> int:
        got.append(data)
        return 0

    class Octets(bytes):
        pass

    ring = HashRing(["a"], hash=note)
    ring.lookup_many(["é", Octets(b"x"), 258])
    ring.lookup_many(np.array(["é"]))
    assert got == ["é".encode(), b"x", b"\x02\x01" + bytes(6), "é".encode()]
    assert {type(data) for data in got} == {bytes}
