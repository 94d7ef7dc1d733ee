"""Columns of NumPy and Arrow, placed by every system as the same keys one by one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ringfence.compat import envoy, haproxy, ignite, memcached
from ringfence.compat.cassandra import TokenRing
from ringfence.compat.redis_cluster import SlotMap
from ringfence.errors import InvalidType, InvalidValue, UnknownNode
from tests.compat.test_ring import RINGS

pa: Any = pytest.importorskip("pyarrow")

SERVERS = {f"10.0.0.{i}:11211": 1 for i in range(1, 6)}
TOKENS = {node: range(i * 1000 - 2**63, 2**63, 2**60) for i, node in enumerate(SERVERS)}
OTHERS: dict[str, Callable[[dict[str, int]], Any]] = {
    "envoy maglev": lambda servers: envoy.maglev(servers, 1009),
    "haproxy crc32": lambda servers: haproxy.ring(servers, hash="crc32"),
    "ignite": lambda servers: ignite.rendezvous(list(servers), 256),
    "redis cluster": lambda servers: SlotMap(
        (i * 3000, min(i * 3000 + 2999, 16383), [node]) for i, node in enumerate([*servers, "last:1"])
    ),
    "twemproxy md5": lambda servers: memcached.ring(servers, client="twemproxy", hash="md5"),
    "cassandra murmur3": lambda _: TokenRing(TOKENS),
    "cassandra random": lambda _: TokenRing({"a": [7, 2**126], "b": [2**125]}, partitioner="random"),
}
EVERY = {name: make(SERVERS) for name, make in (RINGS | OTHERS).items()}
every_system = pytest.mark.parametrize("ring", EVERY.values(), ids=EVERY)

WORDS = ["user:1", "a{tag}b", "{}x", "é", "\U0001d11e", "x" * 70, *(f"key {i}" for i in range(40))]
WITH_EMPTY = [*WORDS, ""]
TEXT = [pa.utf8(), pa.large_utf8(), pa.string_view(), pa.dictionary(pa.int8(), pa.utf8())]
BYTES = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int8(), pa.binary())]


def columns(keys: list[Any], kinds: list[Any]) -> list[Any]:
    """Return Arrow columns of the keys: whole, as a slice, in chunks."""
    found = [pa.array(keys, kind) for kind in kinds]
    sliced = [
        pa.array(["?", *keys] if isinstance(keys[-1], str) else [b"?", *keys], kind)[1:] for kind in kinds
    ]
    chunked = [pa.chunked_array([column[:7], column[:0], column[7:]]) for column in found]
    return [*found, *sliced, *chunked]


def arrays(words: list[str]) -> list[Any]:
    """Return NumPy arrays of text."""
    found = [np.array(words), np.array(words)[::1].astype(">U70"), np.ma.array(words, mask=False)]
    if hasattr(np.dtypes, "StringDType"):
        found.append(np.array(words, np.dtypes.StringDType()))
    return found


def octets(words: list[str]) -> list[bytes]:
    return [word.encode() for word in words]


def one_by_one(ring: Any, keys: list[Any]) -> list[str] | type[Exception]:
    """Return the owners of keys, or the class of the error that the first one refused raises."""
    try:
        return [ring[key] for key in keys]
    except InvalidType as error:
        return type(error)


def together(ring: Any, keys: Any, **options: Any) -> list[str] | type[Exception]:
    try:
        return [ring.nodes[i] for i in ring.lookup_many(keys, **options)]
    except InvalidType as error:
        return type(error)


@every_system
@pytest.mark.parametrize("words", [WORDS, WITH_EMPTY], ids=["words", "and the empty one"])
def test_text(ring: Any, words: list[str]) -> None:
    for column in [*columns(words, TEXT), *arrays(words)]:
        assert together(ring, column) == one_by_one(ring, words)


@every_system
@pytest.mark.parametrize("words", [WORDS, WITH_EMPTY], ids=["words", "and the empty one"])
def test_bytes(ring: Any, words: list[str]) -> None:
    keys = octets(words)
    for column in [*columns(keys, BYTES), np.array(keys)]:
        assert together(ring, column) == one_by_one(ring, keys)
    same = [key[:4].ljust(4) for key in keys]
    assert together(ring, pa.array(same, pa.binary(4))) == one_by_one(ring, same)


@every_system
def test_integers_are_refused_where_the_system_has_none(ring: Any) -> None:
    numbers = [-5, 0, 7, 2**40]
    for column in (pa.array(numbers), np.array(numbers), pa.chunked_array([numbers[:2], numbers[2:]])):
        try:
            expected = [ring[number] for number in numbers]
        except (InvalidType, InvalidValue) as error:
            with pytest.raises(type(error)):
                ring.lookup_many(column)
        else:
            assert together(ring, column) == expected


def keys_for(ring: Any) -> tuple[list[Any], list[Any]]:
    """Return keys that the system takes, and the Arrow types of columns of them."""
    return (octets(WORDS), BYTES) if isinstance(ring, TokenRing) else (list(WORDS), TEXT)


@every_system
def test_nulls(ring: Any) -> None:
    keys, kinds = keys_for(ring)
    last = ring.nodes[-1]
    expected = [last, *(ring[key] for key in keys), last]
    for column in columns([None, *keys, None, keys[0]], kinds):
        some = column[:-1]
        assert together(ring, some, null=last) == expected
        with pytest.raises(InvalidValue, match="row 0 of the keys is null"):
            ring.lookup_many(some)
    assert together(ring, pa.nulls(3), null=last) == [last] * 3
    masked = np.ma.array(keys, mask=[True] + [False] * (len(keys) - 1))
    assert together(ring, masked, null=last) == [last, *expected[2:-1]]
    with pytest.raises(UnknownNode):
        ring.lookup_many(keys, null="nobody")


@every_system
def test_what_lies_under_a_null_is_not_read(ring: Any) -> None:
    keys, _ = keys_for(ring)
    kind = pa.binary() if isinstance(keys[0], bytes) else pa.utf8()
    data, offsets = b"\xff\xfeabc", np.array([0, 2, 5], np.int32)
    valid = np.array([0b10], np.uint8)
    column = pa.Array.from_buffers(kind, 2, [pa.py_buffer(valid), pa.py_buffer(offsets), pa.py_buffer(data)])
    found = ring[b"abc" if isinstance(keys[0], bytes) else "abc"]
    assert together(ring, column, null=ring.nodes[-1]) == [ring.nodes[-1], found]


@every_system
def test_threads(ring: Any) -> None:
    keys, _ = keys_for(ring)
    many = keys * 900  # more than two threads get
    alone = ring.lookup_many(keys)
    for column in (pa.array(many), many):
        assert (ring.lookup_many(column, threads=2) == np.tile(alone, 900)).all()
    with pytest.raises(InvalidValue, match="threads"):
        ring.lookup_many(keys, threads=0)


ROWS = {name: ring for name, ring in EVERY.items() if hasattr(ring, "replicas_many")}


@pytest.mark.parametrize("ring", ROWS.values(), ids=ROWS)
def test_rows_of_replicas(ring: Any) -> None:
    keys, kinds = keys_for(ring)
    alone = ring.replicas_many(keys, 2)
    for column in columns(keys, kinds):
        assert (ring.replicas_many(column, 2, threads=2) == alone).all()
    null = ring.nodes[-1]
    found = ring.replicas_many(pa.array([*keys, None]), 2, null=null)
    assert (found[:-1] == alone).all()
    assert [ring.nodes[i] for i in found[-1]] == [null, ring.nodes[0]]
    with pytest.raises(InvalidValue, match=f"row {len(keys)} of the keys is null"):
        ring.replicas_many(pa.array([*keys, None]), 2)


DIFFS = {name: ring for name, ring in EVERY.items() if hasattr(ring, "diff")}


@pytest.mark.parametrize("ring", DIFFS.values(), ids=DIFFS)
def test_what_a_change_affects(ring: Any) -> None:
    keys, kinds = keys_for(ring)
    new = ring.without_node(ring.nodes[1])
    moves = ring.diff(new)
    expected = [ring[key] != new[key] for key in keys]
    for column in columns(keys, kinds):
        assert moves.affected(column, threads=2).tolist() == expected
    null = ring.nodes[-1]
    assert moves.affected(pa.array([None, *keys]), null=null).tolist() == [False, *expected]


def test_text_that_is_no_utf8_is_refused_where_it_is_read_into_a_list() -> None:
    offsets, data = np.array([0, 1, 3], np.int32), b"a\xff\xfe"
    column = pa.Array.from_buffers(pa.utf8(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    with pytest.raises(InvalidValue, match="text in row 1"):
        EVERY["tooz"].lookup_many(column)
    with pytest.raises(InvalidValue, match="has no UTF-8"):
        EVERY["tooz"].lookup_many(np.array(["a", "\ud800"]))
    with pytest.raises(InvalidValue, match="key in row 1 has no UTF-8"):
        EVERY["tooz"].lookup_many(np.array([97, 0x110000], np.uint32).view("U1"))
