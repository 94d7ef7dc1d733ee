"""Columns, compiled and interpreted alike, against the same keys as a list."""

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.errors import InvalidType, InvalidValue

pa: Any = pytest.importorskip("pyarrow")
fixed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
needs_string_dtype = pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="NumPy 2 has it")

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=50)
octets = st.lists(st.binary(max_size=40), max_size=50)
TEXT = [pa.utf8(), pa.large_utf8(), pa.string_view(), pa.dictionary(pa.int8(), pa.utf8())]
BYTES = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.uint32(), pa.binary())]
INTEGERS = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
WORDS = ["a", "bc", "é", "", "x" * 50, "\U0001d11e", "user:123456", "a" * 12, "a" * 13, "nul\0"]


def hashes(core: SimpleNamespace, keys: Any) -> list[int]:
    found: list[int] = core.hashing.key_hash_many(keys).tolist()
    return found


def whole_and_parts(keys: list[Any], kind: Any) -> list[Any]:
    """Return columns that all hold `keys`: whole, as a slice of a larger one, and in chunks."""
    filler = keys[:1] * 3
    middle = len(keys) // 3
    parts = [keys[:middle], [], keys[middle:]]
    return [
        pa.array(keys, kind),
        pa.array([*filler, *keys, *filler], kind).slice(len(filler), len(keys)),
        pa.chunked_array([pa.array(part, kind) for part in parts], kind),
    ]


@fixed
@given(keys=texts)
@pytest.mark.parametrize("kind", TEXT, ids=str)
def test_text(core: SimpleNamespace, kind: Any, keys: list[str]) -> None:
    for column in whole_and_parts(keys, kind):
        assert hashes(core, column) == hashes(core, keys)


@fixed
@given(keys=octets)
@pytest.mark.parametrize("kind", BYTES, ids=str)
def test_bytes(core: SimpleNamespace, kind: Any, keys: list[bytes]) -> None:
    for column in whole_and_parts(keys, kind):
        assert hashes(core, column) == hashes(core, keys)


@pytest.mark.parametrize("width", [0, 1, 8, 17])
def test_bytes_of_one_width(core: SimpleNamespace, width: int) -> None:
    keys = [bytes([i] * width) for i in range(20)]  # the first one of NULs, which count
    for column in whole_and_parts(keys, pa.binary(width)):
        assert hashes(core, column) == hashes(core, keys)


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
def test_integers(core: SimpleNamespace, kind: Any) -> None:
    for keys in (list(range(0, 120, 7)), []):
        for column in whole_and_parts(keys, kind):
            assert hashes(core, column) == hashes(core, keys)


def test_polars(core: SimpleNamespace) -> None:
    pl: Any = pytest.importorskip("polars")
    for column in (pl.Series(WORDS), pl.Series(WORDS, dtype=pl.Categorical), pl.Series(WORDS)[::1]):
        assert hashes(core, column) == hashes(core, WORDS)
    assert hashes(core, pl.Series(["q", *WORDS])[1:]) == hashes(core, WORDS)
    assert hashes(core, pl.Series([3, 4], dtype=pl.UInt16)) == hashes(core, [3, 4])


def test_many_chunks_and_rows(core: SimpleNamespace) -> None:
    keys = [f"user:{i}" for i in range(70_000)]
    column = pa.chunked_array([keys[start : start + 9_999] for start in range(0, len(keys), 9_999)])
    for threads in (1, 3):
        for given_keys in (column, pa.array(keys), pa.array(keys, pa.string_view()), np.array(keys)):
            found = core.hashing.key_hash_many(given_keys, threads)
            assert found.tolist() == hashes(core, keys)


# --- NumPy ------------------------------------------------------------------------------------------------------


def array_cases() -> list[Any]:
    text = np.array(WORDS[:-1])
    encoded = np.array([word.encode() for word in WORDS])
    return [
        text,
        text[::2],
        text[::-1],
        text.astype(text.dtype.newbyteorder()),
        encoded,
        encoded[1::3],
        np.array(["", ""], "U0"),
        np.array([b"", b""], "S0"),
        np.empty(0, "U5"),
        np.empty(0, "S5"),
        np.array([b"a\0b", b"a\0\0"], "S5"),
        np.array(["a\0b", "a\0\0"], "U5"),
        np.frombuffer(b"?abcdef", "S2", count=3, offset=1),
    ]


@pytest.mark.parametrize("array", array_cases(), ids=lambda array: f"{array.dtype}-{len(array)}")
def test_numpy_text(core: SimpleNamespace, array: Any) -> None:
    assert hashes(core, array) == hashes(core, array.tolist())


@fixed
@given(keys=texts)
def test_numpy_text_of_any_characters(core: SimpleNamespace, keys: list[str]) -> None:
    array = np.array(keys, np.str_)
    assert hashes(core, array) == hashes(core, array.tolist())


@pytest.mark.parametrize("code", [0xD800, 0xDFFF, 0x110000, 0xFFFFFFFF])
def test_numpy_text_without_utf8_is_refused(core: SimpleNamespace, code: int) -> None:
    array = np.array([97, 0, 97, code], np.uint32).view("U2")
    with pytest.raises(InvalidValue, match="row 1 has no UTF-8"):
        hashes(core, array)


@needs_string_dtype
@fixed
@given(keys=texts)
def test_string_dtype(core: SimpleNamespace, keys: list[str]) -> None:
    for options in ({}, {"na_object": None}, {"na_object": "there"}):
        array = np.array(keys, np.dtypes.StringDType(**options))
        for part in (array, array[::2], array[::-1], array[3:]):
            assert hashes(core, part) == hashes(core, part.tolist())


@needs_string_dtype
@pytest.mark.parametrize("missing", [None, np.nan, 5], ids=repr)
def test_missing_strings_are_nulls(core: SimpleNamespace, missing: Any) -> None:
    array = np.array(["a", missing, "x" * 50, "", missing], np.dtypes.StringDType(na_object=missing))
    for part, nulls in ((array, [1, 4]), (array[::-1], [0, 3]), (array[1:], [0, 3])):
        found, mask = core.columns.hashes_and_nulls(part)
        assert np.flatnonzero(mask).tolist() == nulls
        there = [key for key in part.tolist() if isinstance(key, str)]
        assert found[~mask].tolist() == hashes(core, there)
        with pytest.raises(InvalidValue, match=f"row {nulls[0]} of the keys is null"):
            hashes(core, part)
    masked = np.ma.array(array, mask=[True, False, False, False, False])
    assert np.flatnonzero(core.columns.hashes_and_nulls(masked)[1]).tolist() == [0, 1, 4]


@needs_string_dtype
def test_a_missing_string_that_numpy_reads_as_a_str_is_that_key(core: SimpleNamespace) -> None:
    array = np.array(["a", "none", "b"], np.dtypes.StringDType(na_object="none"))
    array[0] = "none"
    assert core.columns.hashes_and_nulls(array)[1] is None
    assert hashes(core, array) == hashes(core, ["none", "none", "b"])


@needs_string_dtype
def test_string_dtype_while_another_thread_writes(core: SimpleNamespace) -> None:
    array = np.array(["short", "a long string " * 4] * 3000, np.dtypes.StringDType())
    known = {*hashes(core, ["short", "a long string " * 4, "another long one " * 5])}
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            array[::3] = "another long one " * 5
            array[::3] = "short"

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(30):
            assert {*hashes(core, array)} <= known
    finally:
        stop.set()
        writer.join()


def test_masked_arrays_have_nulls(core: SimpleNamespace) -> None:
    array = np.ma.array([1, -1, 3], mask=[False, True, False])
    with pytest.raises(InvalidValue, match="row 1 of the keys is null"):
        hashes(core, array)
    array.mask = [False] * 3
    with pytest.raises(InvalidValue, match="not -1"):
        hashes(core, array)


# --- nulls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        *((["a", None, "b", None, "x" * 20], kind) for kind in TEXT),
        *(([b"a", None, b"b", None, b"x" * 20], kind) for kind in BYTES),
        *(([1, None, 2, None, 3], kind) for kind in INTEGERS),
        ([b"ab", None, b"cd", None, b"ef"], pa.binary(2)),
        ([None, None, None, None, None], pa.null()),
        ([None, None, None, None, None], pa.dictionary(pa.int32(), pa.utf8())),
    ],
    ids=str,
)
def test_nulls(core: SimpleNamespace, keys: list[Any], kind: Any) -> None:
    for column in whole_and_parts(keys, kind):
        found, nulls = core.columns.hashes_and_nulls(column)
        assert nulls.tolist() == [key is None for key in keys]
        there = [key for key in keys if key is not None]
        assert found[~nulls].tolist() == hashes(core, there)
        with pytest.raises(InvalidValue, match=f"row {keys.index(None)} of the keys is null"):
            hashes(core, column)


def test_a_null_is_named_by_its_row_among_all_chunks(core: SimpleNamespace) -> None:
    column = pa.chunked_array([["a", "b"], ["c", None]])
    with pytest.raises(InvalidValue, match="row 3 of the keys is null"):
        hashes(core, column)


def test_nulls_among_the_values_of_a_dictionary(core: SimpleNamespace) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["a", None]))
    found, nulls = core.columns.hashes_and_nulls(column)
    assert nulls.tolist() == [False, True, True, False]
    assert found[[0, 3]].tolist() == hashes(core, ["a", "a"])


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "error", "says"),
    [
        (pa.array([1.5]), InvalidType, "Arrow format 'g'"),
        (pa.array([True]), InvalidType, "Arrow format 'b'"),
        (pa.array([["a"]]), InvalidType, r"Arrow format '\+l'"),
        (pa.table({"key": ["a"]}), InvalidType, "choose one of its columns"),
        (pa.record_batch({"key": ["a"]}), InvalidType, "choose one of its columns"),
        (pa.array([3, -4, -5]), InvalidValue, "not -4"),
        (pa.array([1.5]).dictionary_encode(), InvalidType, "Arrow format 'g'"),
        (pa.array([-7]).dictionary_encode(), InvalidValue, "not -7"),
    ],
    ids=lambda value: str(value)[:30].replace("\n", ""),
)
def test_what_is_no_key_is_refused_alike(
    twins: dict[str, SimpleNamespace], column: Any, error: type[Exception], says: str
) -> None:
    said = set()
    for twin in twins.values():
        with pytest.raises(error, match=says) as caught:
            hashes(twin, column)
        said.add(str(caught.value))
    assert len(said) == 1
