"""The hashes, compiled and interpreted alike, against mmh3 and xxhash."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mmh3
import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.errors import InvalidType, InvalidValue, RingfenceError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "hash_core.json").read_text())["rows"]
MOST = (1 << 64) - 1

keys = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(max_codepoint=127), max_size=40),
    st.binary(max_size=80),
    st.integers(0, MOST),
)
fixed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def as_bytes(key: Any) -> bytes:
    if isinstance(key, str):
        return key.encode()
    return key if isinstance(key, bytes) else int(key).to_bytes(8, "little")


def murmur3(data: bytes, seed: int = 0) -> int:
    low: int = mmh3.mmh3_x64_128_utupledigest(data, seed)[0]
    return low


def mix64(x: int) -> int:
    for constant in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        x = (x ^ x >> 33) * constant & MOST
    return x ^ x >> 33


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: f"{len(row['key']) // 2}-{row['seed']}")
def test_the_recorded_vectors_hold(core: SimpleNamespace, row: dict[str, Any]) -> None:
    key = bytes.fromhex(row["key"])
    assert core.hashing.murmur3_64(key, row["seed"]) == int(row["murmur3_64"])
    assert core.hashing.xxh64(key, row["seed"]) == int(row["xxh64"])


def test_every_length_hashes_as_the_oracles_do(core: SimpleNamespace) -> None:
    data = bytes(i * 37 % 256 for i in range(300))
    for length in range(300):
        key = data[:length]
        assert core.hashing.murmur3_64(key, length) == murmur3(key, length)
        assert core.hashing.xxh64(key, length) == xxhash.xxh64_intdigest(key, length)


@fixed
@given(key=keys, seed=st.integers(0, (1 << 32) - 1))
def test_murmur3_is_that_of_mmh3(core: SimpleNamespace, key: Any, seed: int) -> None:
    assert core.hashing.murmur3_64(key, seed) == murmur3(as_bytes(key), seed)


@fixed
@given(key=keys, seed=st.integers(0, MOST))
def test_xxh64_is_that_of_xxhash(core: SimpleNamespace, key: Any, seed: int) -> None:
    assert core.hashing.xxh64(key, seed) == xxhash.xxh64_intdigest(as_bytes(key), seed)


@fixed
@given(key=keys)
def test_the_hash_of_a_ring_s_key(core: SimpleNamespace, key: Any) -> None:
    expected = mix64(key) if isinstance(key, int) else murmur3(as_bytes(key))
    assert core.hashing.key_hash(key) == expected
    if isinstance(key, int):
        assert core.hashing.mix64(key) == expected


@fixed
@given(batch=st.lists(keys, max_size=600), seed=st.integers(0, (1 << 32) - 1))
def test_batches_give_what_single_calls_give(core: SimpleNamespace, batch: list[Any], seed: int) -> None:
    hashing = core.hashing
    for many, one in (
        (hashing.murmur3_64_many(batch, seed), [hashing.murmur3_64(key, seed) for key in batch]),
        (hashing.xxh64_many(batch, seed), [hashing.xxh64(key, seed) for key in batch]),
        (hashing.key_hash_many(batch), [hashing.key_hash(key) for key in batch]),
    ):
        assert many.dtype == np.uint64
        assert many.tolist() == one


class Word(str):
    __slots__ = ()


class Octets(bytes):
    pass


class Number(int):
    pass


class Index:
    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize(
    ("key", "same"),
    [
        (Word("ab"), "ab"),
        (np.str_("é"), "é"),
        (Octets(b"ab"), b"ab"),
        (np.bytes_(b"ab"), b"ab"),
        (Number(7), 7),
        (Index(), 7),
        (np.uint64(MOST), MOST),
        (np.int8(7), 7),
        ("é", "é".encode()),
        ("\x00", b"\x00"),
    ],
    ids=lambda key: repr(key)[:20],
)
def test_what_stands_for_a_key_hashes_like_it(core: SimpleNamespace, key: Any, same: Any) -> None:
    for name in ("murmur3_64", "xxh64", "key_hash"):
        expected = getattr(core.hashing, name)(same)
        assert getattr(core.hashing, name)(key) == expected
        assert getattr(core.hashing, f"{name}_many")([key, key]).tolist() == [expected] * 2


DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", ">u8", ">i4"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_any_integer_type(core: SimpleNamespace, dtype: str) -> None:
    array = np.arange(0, 120, 3, dtype=dtype)
    for keys_of in (array, array[::2], array[::-1]):
        for name in ("murmur3_64", "xxh64", "key_hash"):
            expected = [getattr(core.hashing, name)(int(key)) for key in keys_of]
            assert getattr(core.hashing, f"{name}_many")(keys_of).tolist() == expected


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "bc", "é", ""]),
        np.array([b"a", b"bc", b""]),
        np.array(["a", b"b", 3, MOST], dtype=object),
        np.array([], dtype=np.int32),
        np.array([], dtype="U3"),
    ],
    ids=lambda array: str(array.dtype),
)
def test_arrays_of_text_bytes_and_objects(core: SimpleNamespace, array: Any) -> None:
    assert core.hashing.key_hash_many(array).tolist() == [
        core.hashing.key_hash(key) for key in array.tolist()
    ]


def test_any_iterable_is_a_batch(core: SimpleNamespace) -> None:
    expected = [core.hashing.key_hash(key) for key in "abc"]
    for batch in (("a", "b", "c"), iter("abc"), dict.fromkeys("abc"), (key for key in "abc")):
        assert core.hashing.key_hash_many(batch).tolist() == expected


WRONG: list[tuple[str, Any, type[RingfenceError], str]] = [
    ("key_hash", (1.5,), InvalidType, "float: 1.5"),
    ("key_hash", (None,), InvalidType, "NoneType: None"),
    ("key_hash", (True,), InvalidType, "bool: True"),
    ("key_hash", (np.bool_(True),), InvalidType, "bool"),
    ("key_hash", (bytearray(b"a"),), InvalidType, "bytearray"),
    ("key_hash", ([1],), InvalidType, r"list: \[1\]"),
    ("key_hash", (-1,), InvalidValue, "not -1"),
    ("key_hash", (1 << 64,), InvalidValue, "not 18446744073709551616"),
    ("key_hash", (1 << 400,), InvalidValue, "2\\*\\*64"),
    ("key_hash", (np.int64(-5),), InvalidValue, "not -5"),
    ("key_hash", ("a\ud800",), InvalidValue, "surrogates: 'a.ud800'"),
    ("mix64", ("a",), InvalidType, "str: 'a'"),
    ("murmur3_64", (None,), InvalidType, "NoneType"),
    ("murmur3_64", ("a", -1), InvalidValue, "seed.*-1"),
    ("murmur3_64", ("a", 1 << 32), InvalidValue, "seed.*2\\*\\*32.*4294967296"),
    ("murmur3_64", ("a", "1"), InvalidType, "seed.*str: '1'"),
    ("murmur3_64", ("a", False), InvalidType, "seed.*bool"),
    ("xxh64", ("\udfff",), InvalidValue, "udfff"),
    ("xxh64", ("a", 1 << 64), InvalidValue, "seed.*2\\*\\*64"),
    ("xxh64", ("a", 0.5), InvalidType, "seed.*0.5"),
    ("murmur3_64_many", (["a"], -1), InvalidValue, "seed.*-1"),
    ("xxh64_many", (["a", 2.5],), InvalidType, "float: 2.5"),
    ("key_hash_many", ("abc",), InvalidType, "single str: 'abc'"),
    ("key_hash_many", (b"abc",), InvalidType, "single bytes"),
    ("key_hash_many", (5,), InvalidType, "int: 5"),
    ("key_hash_many", ([1, -1],), InvalidValue, "not -1"),
    ("key_hash_many", (["a", None],), InvalidType, "None"),
    ("key_hash_many", (np.array([3, -4, -5]),), InvalidValue, "not -4"),
    ("key_hash_many", (np.array([1.5]),), InvalidType, "float64"),
    ("key_hash_many", (np.array([True]),), InvalidType, "bool"),
    ("key_hash_many", (np.array(["2020"], dtype="M8"),), InvalidType, "datetime64"),
    ("key_hash_many", (np.zeros((2, 2), np.uint64),), InvalidValue, "one dimension, not 2"),
    ("key_hash_many", (np.array(3),), InvalidValue, "one dimension, not 0"),
    ("murmur3_64_many", (np.array([-1]),), InvalidValue, "not -1"),
]


@pytest.mark.parametrize(("function", "arguments", "error", "says"), WRONG)
def test_bad_arguments_are_refused_alike(
    twins: dict[str, SimpleNamespace], function: str, arguments: Any, error: type[RingfenceError], says: str
) -> None:
    texts = set()
    for twin in twins.values():
        with pytest.raises(error, match=says) as caught:
            getattr(twin.hashing, function)(*arguments)
        assert type(caught.value) is error
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_an_error_in_index_comes_through(core: SimpleNamespace) -> None:
    class Broken:
        def __index__(self) -> int:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        core.hashing.key_hash(Broken())
