"""Malformed Arrow data are refused, and everything is released once, by whom it belongs to."""

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence._core import arrow
from ringfence.errors import InvalidType, InvalidValue
from tests.core.conftest import Chunks, Handmade, data, offsets, view

ABC = (None, offsets(0, 1, 2, 3), data(b"abc"))
LONG = data(b"a long key of more than twelve bytes")


def views(*items: bytes, sizes: tuple[int, ...] = (36,), buffers: tuple[Any, ...] = (LONG,)) -> list[Any]:
    return [None, data(b"".join(items)), *buffers, np.array(sizes, np.int64)]


def hashes(core: SimpleNamespace, keys: Any) -> list[int]:
    found: list[int] = core.hashing.key_hash_many(keys).tolist()
    return found


def test_sound_data_are_read(core: SimpleNamespace) -> None:
    expected = hashes(core, ["b", "c"])
    assert hashes(core, Handmade(b"u", 2, ABC, offset=1)) == expected
    assert hashes(core, Handmade(b"u", 2, ABC, offset=1, null_count=0)) == expected
    keys = Handmade(b"vu", 2, views(view(36), view(3, inline=b"abc")))
    assert hashes(core, keys) == hashes(core, [LONG.tobytes(), "abc"])
    assert hashes(core, Handmade(b"u", 0, [None, None, None])) == []
    assert hashes(core, Handmade(b"u", 2, [None, offsets(0, 0, 0), None])) == hashes(core, ["", ""])


def test_buffers_that_are_not_aligned_are_read(core: SimpleNamespace) -> None:
    shifted = np.frombuffer(b"?" + offsets(0, 1, 2, 3).tobytes(), np.uint8)[1:]
    assert hashes(core, Handmade(b"u", 3, [None, shifted, data(b"abc")])) == hashes(core, ["a", "b", "c"])


def test_a_null_may_hold_anything(core: SimpleNamespace) -> None:
    first_only = data(b"\x01")
    for keys in (
        Handmade(b"vu", 2, [first_only, *views(view(3, inline=b"abc"), view(99, buffer=7))[1:]]),
        Handmade(b"c", 2, [first_only, np.array([5, -5], np.int8)]),
        Handmade(b"c", 2, [first_only, np.array([0, 99], np.int8)], dictionary=Handmade(b"u", 3, ABC)),
    ):
        assert core.columns.hashes_and_nulls(keys)[1].tolist() == [False, True]


MALFORMED = [
    (b"u", 3, [None, offsets(0, 2, 1, 3), data(b"abc")], {}, "row 1"),
    (b"u", 3, [None, offsets(0, 9, 2, 3), data(b"abc")], {}, "row 1|row 0"),
    (b"u", 3, [None, offsets(-1, 1, 2, 3), data(b"abc")], {}, "row 0"),
    (b"u", 3, [None, offsets(0, 1, 2, -3), data(b"abc")], {}, "offset -3"),
    (b"U", 2, [None, offsets(0, 5, 3, dtype="i8"), data(b"abc")], {}, "row 0"),
    (b"U", 2, [None, offsets(-9, 1, 3, dtype="i8"), data(b"abc")], {}, "row 0"),
    (b"U", 1, [None, offsets(0, 1 << 62, dtype="i8"), data(b"abc")], {}, "cannot have"),
    (b"u", 3, [None, None, data(b"abc")], {}, "buffer 1 .* missing"),
    (b"u", 3, [None, offsets(0, 1, 2, 3), None], {}, "buffer 2 .* missing"),
    (b"u", 3, ABC, {"n_buffers": 2}, "3 buffers or more, not 2"),
    (b"u", 3, ABC, {"n_buffers": -1}, "3 buffers or more, not -1"),
    (b"u", -1, ABC, {}, "length -1"),
    (b"u", 3, ABC, {"offset": -1}, "offset -1"),
    (b"u", 1 << 62, ABC, {}, "length 4611686018427387904"),
    (b"u", 1 << 46, ABC, {}, "cannot have"),
    (b"u", 3, [data(b"\xff"), *ABC[1:]], {"null_count": 4}, "cannot have 4 nulls"),
    (b"u", 3, [data(b"\xff"), *ABC[1:]], {"null_count": -2}, "cannot have -2 nulls"),
    (b"vu", 1, views(view(-1)), {}, "row 0"),
    (b"vu", 2, views(view(3, inline=b"abc"), view(37)), {}, "row 1"),
    (b"vu", 1, views(view(36, start=1)), {}, "row 0"),
    (b"vu", 1, views(view(20, start=-1)), {}, "row 0"),
    (b"vu", 1, views(view(20, start=2**31 - 1)), {}, "row 0"),
    (b"vu", 1, views(view(20, buffer=1)), {}, "row 0"),
    (b"vu", 1, views(view(20, buffer=-1)), {}, "row 0"),
    (b"vu", 1, views(view(20), sizes=(), buffers=()), {}, "row 0"),
    (b"vu", 1, views(view(20), sizes=(-5,)), {}, "cannot have -5 bytes"),
    (b"vu", 1, views(view(20), buffers=(None,)), {}, "buffer 2 .* missing"),
    (b"vu", 1, views(view(20)), {"n_buffers": 2}, "3 buffers or more, not 2"),
    (b"l", 2, [None, None], {}, "buffer 1 .* missing"),
    (b"l", 2, [None], {}, "2 buffers or more, not 1"),
    (b"w:4", 2, [None, None], {}, "buffer 1 .* missing"),
    (b"w:99999999999999999999", 2, [None, data(b"abc")], {}, "cannot have"),
    (b"c", 2, [None, np.array([0, 3], np.int8)], {"dictionary": Handmade(b"u", 3, ABC)}, "row 1 is number 3"),
    (b"c", 1, [None, np.array([-1], np.int8)], {"dictionary": Handmade(b"u", 3, ABC)}, "row 0 is number -1"),
    (b"u", 3, ABC, {"dictionary": Handmade(b"u", 3, ABC)}, "format 'u'"),
]


@pytest.mark.parametrize(("kind", "length", "buffers", "more", "says"), MALFORMED)
def test_malformed_data_are_refused(
    core: SimpleNamespace, kind: bytes, length: int, buffers: Any, more: dict[str, Any], says: str
) -> None:
    keys = Handmade(kind, length, buffers, **more)
    with pytest.raises(InvalidValue, match=says):
        hashes(core, keys)
    assert keys.released.array == keys.released.schema == 0  # that is for the capsules to do

    chunk = Handmade(kind, length, buffers, **more)
    with pytest.raises(InvalidValue, match=says):
        hashes(core, Chunks([chunk]))
    assert chunk.released.array == chunk.released.schema == 1


@pytest.mark.parametrize("kind", [b"", b"w:", b"w:x", b"w:-1", b"g", b"+s", b"+r", b"\xff", b"tdD"])
def test_other_formats_are_refused(core: SimpleNamespace, kind: bytes) -> None:
    with pytest.raises(InvalidType):
        hashes(core, Handmade(kind, 3, ABC))


def test_each_chunk_is_released_once(core: SimpleNamespace) -> None:
    chunks = [Handmade(b"u", 3, ABC) for _ in range(3)]
    stream = Chunks(chunks)
    assert hashes(core, stream) == hashes(core, ["a", "b", "c"] * 3)
    assert [chunk.released.array for chunk in chunks] == [1, 1, 1]
    assert chunks[0].released.schema == 1
    assert stream.stream_released == 0  # that is for the capsule to do


def test_what_came_before_an_error_is_released_once(core: SimpleNamespace) -> None:
    sound = Handmade(b"u", 3, ABC)
    stream = Chunks([sound], failure=5)
    with pytest.raises(InvalidValue, match=r"failed \(5\): the disk is gone"):
        hashes(core, stream)
    assert sound.released.array == sound.released.schema == 1


def test_a_stream_that_has_no_schema(core: SimpleNamespace) -> None:
    chunk = Handmade(b"u", 3, ABC)
    with pytest.raises(InvalidValue, match=r"failed \(12\)"):
        hashes(core, Chunks([chunk], schema_failure=12))
    assert chunk.released.array == chunk.released.schema == 0


def test_capsules_that_are_none_or_released(core: SimpleNamespace) -> None:
    class Swapped(Handmade):
        def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]:
            schema, array = super().__arrow_c_array__()
            return array, schema

    class Released(Handmade):
        def array(self) -> Any:
            made = super().array()
            made.release = None
            return made

    with pytest.raises(InvalidType, match="no Arrow capsule arrow_schema"):
        hashes(core, Swapped(b"u", 3, ABC))
    with pytest.raises(InvalidValue, match="released already"):
        hashes(core, Released(b"u", 3, ABC))


class Lacking(Chunks):
    """A stream without one of its functions."""

    lacks: str

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        capsule = super().__arrow_c_stream__(requested_schema)
        stream = arrow.Stream.from_address(arrow._pointer(capsule, b"arrow_array_stream"))
        setattr(stream, self.lacks, type(getattr(stream, self.lacks))())
        return capsule


@pytest.mark.parametrize("lacks", ["get_schema", "get_next", "get_last_error"])
def test_a_stream_without_one_of_its_functions(core: SimpleNamespace, lacks: str) -> None:
    chunk = Handmade(b"u", 3, ABC)
    stream = Lacking([chunk], failure=5)
    stream.lacks = lacks
    with pytest.raises(InvalidValue, match=r"functions is missing|no reason given"):
        hashes(core, stream)
    assert chunk.released.schema == (lacks != "get_schema")
    assert chunk.released.array == (lacks == "get_last_error")


class OfOtherParts(Handmade):
    """A dictionary column of which something was changed after it was made."""

    change: Any

    def array(self) -> Any:
        made = super().array()
        self.change(made)
        return made


def release_the_values(array: Any) -> None:
    arrow.Array.from_address(array.dictionary).release = None


def take_the_values(array: Any) -> None:
    array.dictionary = None


def take_the_buffers(array: Any) -> None:
    array.buffers = type(array.buffers)()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (release_the_values, "released already"),
        (take_the_values, "needs indices and values"),
        (take_the_buffers, "2 buffers or more"),
    ],
)
def test_dictionaries_without_one_of_their_parts(core: SimpleNamespace, change: Any, says: str) -> None:
    keys = OfOtherParts(b"c", 2, [None, np.array([0, 1], np.int8)], dictionary=Handmade(b"u", 3, ABC))
    keys.change = change
    with pytest.raises(InvalidValue, match=says):
        hashes(core, keys)


def test_a_dictionary_of_itself(core: SimpleNamespace) -> None:
    """No library makes one; the interpreter's own bound ends the search."""

    class Cyclic(Handmade):
        def around(self, made: Any) -> Any:
            self.kept.append(made)
            made.dictionary = ctypes.addressof(made)
            return made

        def schema(self) -> Any:
            return self.around(super().schema())

        def array(self) -> Any:
            return self.around(super().array())

    with pytest.raises(RecursionError):
        hashes(core, Cyclic(b"c", 2, [None, np.array([0, 1], np.int8)]))


@pytest.mark.parametrize("kind", [b"n", b"w:0"])
def test_more_rows_than_any_memory_holds(core: SimpleNamespace, kind: bytes) -> None:
    with pytest.raises(MemoryError):  # no buffer belies them
        hashes(core, Handmade(kind, 1 << 46, [None, None]))


@pytest.mark.parametrize("answer", [None, 5, (None,), (None, None), ("a", "b"), ((), ())])
def test_an_interface_that_answers_something_else(core: SimpleNamespace, answer: Any) -> None:
    class Array:
        def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
            return answer

    class Stream:
        def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
            return answer

    for keys in (Array(), Stream()):
        with pytest.raises((InvalidType, TypeError, ValueError)):
            hashes(core, keys)


def test_nothing_stays_allocated_after_an_error(core: SimpleNamespace) -> None:
    pa: Any = pytest.importorskip("pyarrow")
    before = pa.total_allocated_bytes()
    keys = pa.chunked_array([["a"] * 1000, ["b", None]])
    for column in (keys, keys.chunk(1)):
        with pytest.raises(InvalidValue, match="is null"):
            hashes(core, column)
    del keys, column
    assert pa.total_allocated_bytes() == before


def outcome(core: SimpleNamespace, keys: Any) -> Any:
    try:
        return hashes(core, keys)
    except InvalidValue as refused:
        return str(refused)


@settings(deadline=None)
@given(numbers=st.lists(st.integers(-2, 12), min_size=2, max_size=7))
def test_any_offsets_are_read_or_refused_alike(twins: dict[str, SimpleNamespace], numbers: list[int]) -> None:
    sound = numbers[0] >= 0 and numbers == sorted(numbers)
    text = bytes(range(12))
    for kind, dtype in ((b"z", "i4"), (b"Z", "i8")):
        found = [
            outcome(
                twin, Handmade(kind, len(numbers) - 1, [None, offsets(*numbers, dtype=dtype), data(text)])
            )
            for twin in twins.values()
        ]
        assert all(one == found[0] for one in found)
        assert isinstance(found[0], list) == sound


@settings(deadline=None)
@given(length=st.integers(-2, 40), buffer=st.integers(-1, 2), start=st.integers(-2, 40))
def test_any_view_is_read_or_refused_alike(
    twins: dict[str, SimpleNamespace], length: int, buffer: int, start: int
) -> None:
    words = np.array([length, 0, buffer, start], np.int32).tobytes()
    found = [outcome(twin, Handmade(b"vz", 1, views(words))) for twin in twins.values()]
    assert all(one == found[0] for one in found)
    inside = buffer == 0 and 0 <= start <= len(LONG) - length
    assert isinstance(found[0], list) == (0 <= length <= 12 or (length > 12 and inside))
