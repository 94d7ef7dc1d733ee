"""Columns of keys, nulls and threads, for every placement."""

from typing import Any

import numpy as np
import pytest

from ringfence.errors import EmptyRing, InvalidType, InvalidValue, RingfenceError, UnknownNode
from ringfence.placement import HashRing, JumpHash, Maglev, Rendezvous

pa: Any = pytest.importorskip("pyarrow")

NODES = ["a", "b", "c", "d"]
KEYS = [f"user:{i}" for i in range(100)]
KINDS = [HashRing, Rendezvous, JumpHash, Maglev]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def placement(request: pytest.FixtureRequest) -> Any:
    return request.param(NODES)


def test_a_column_is_placed_as_its_keys_are(placement: Any) -> None:
    other = placement.with_node("e")
    for column in (pa.array(KEYS), pa.chunked_array([KEYS[:30], KEYS[30:]]), np.array(KEYS)):
        assert placement.lookup_many(column).tolist() == placement.lookup_many(KEYS).tolist()
        assert placement.replicas_many(column, 3).tolist() == placement.replicas_many(KEYS, 3).tolist()
        moved = placement.diff(other).affected(column)
        assert moved.tolist() == placement.diff(other).affected(KEYS).tolist()


@pytest.mark.parametrize("threads", [2, 3, 1000])
def test_threads_change_nothing(placement: Any, threads: int) -> None:
    numbers = np.arange(100_003)
    expected = placement.lookup_many(numbers)
    for keys in (numbers, numbers.tolist(), pa.array(numbers), numbers[:5]):
        found = placement.lookup_many(keys, threads=threads)
        assert found.dtype == np.uint32
        assert (found == expected[: len(keys)]).all()
        rows = placement.replicas_many(keys, 2, threads=threads)
        assert (rows == placement.replicas_many(keys, 2)).all()


def test_an_error_in_a_thread_names_its_row(placement: Any) -> None:
    numbers = np.arange(100_003)
    numbers[70_000] = -3
    with pytest.raises(InvalidValue, match="not -3"):
        placement.lookup_many(numbers, threads=4)
    text = np.array(["a"] * 100_003)
    text.view(np.uint32)[70_000] = 0xD800
    with pytest.raises(InvalidValue, match="row 70000 has no UTF-8"):
        placement.lookup_many(text, threads=4)


@pytest.mark.parametrize("threads", [1, 3])
def test_nulls_belong_to_the_node_named(placement: Any, threads: int) -> None:
    keys: list[Any] = KEYS * 400
    expected = placement.lookup_many(keys)
    nulls = [0, 7, 20_000, len(keys) - 1]
    for row in nulls:
        keys[row] = None
        expected[row] = placement.nodes.index("c")
    for column in (pa.array(keys), pa.chunked_array([keys[:5_000], keys[5_000:]])):
        found = placement.lookup_many(column, threads=threads, null="c")
        assert (found == expected).all()
        with pytest.raises(InvalidValue, match="row 0 of the keys is null"):
            placement.lookup_many(column, threads=threads)
        with pytest.raises(InvalidValue, match="row 0 of the keys is null"):
            placement.replicas_many(column, 2)
        rows = placement.replicas_many(column, 3, threads=threads, null="c")
        assert (rows[:, 0] == expected).all()
        assert {*map(tuple, rows[nulls].tolist())} == {(2, 3, 0)}  # "c" and the nodes after it, round the end
        there = [key for key in keys if key is not None]
        assert (np.delete(rows, nulls, axis=0) == placement.replicas_many(there, 3)).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_nulls_never_move(placement: Any, threads: int) -> None:
    keys: list[Any] = KEYS * 400
    diff = placement.diff(placement.with_node("e"))
    expected = diff.affected(keys)
    nulls = [0, 7, 20_000, len(keys) - 1]
    for row in nulls:
        keys[row] = None
        expected[row] = False
    column = pa.array(keys)
    assert (diff.affected(column, threads=threads, null="c") == expected).all()
    assert (diff.affected(KEYS, threads=threads, null="c") == diff.affected(KEYS)).all()
    with pytest.raises(InvalidValue, match="row 0 of the keys is null"):
        diff.affected(column, threads=threads)
    for null in ("e", "z"):  # which not both have
        with pytest.raises(UnknownNode):
            diff.affected(column, threads=threads, null=null)
    with pytest.raises(InvalidValue, match="threads must be at least 1"):
        diff.affected(column, threads=0)


def test_null_without_any_null(placement: Any) -> None:
    for keys in (KEYS, pa.array(KEYS), np.array(KEYS)):
        assert (placement.lookup_many(keys, null="c") == placement.lookup_many(KEYS)).all()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"threads": 0}, InvalidValue, "threads must be at least 1, not 0"),
        ({"threads": 1.5}, InvalidType, "threads must be an int, not float"),
        ({"threads": "2"}, InvalidType, "threads must be an int, not str"),
        ({"null": "z"}, UnknownNode, "z"),
        ({"null": 3}, InvalidType, "null must be the name of a node, not int: 3"),
        ({"null": "c", "threads": 0}, InvalidValue, "threads must be at least 1"),
    ],
)
def test_wrong_options(
    placement: Any, options: dict[str, Any], error: type[RingfenceError], says: str
) -> None:
    with pytest.raises(error, match=says):
        placement.lookup_many(KEYS, **options)
    with pytest.raises(error, match=says):
        placement.replicas_many(KEYS, 2, **options)
    with pytest.raises(error, match=says):
        placement.diff(placement).affected(KEYS, **options)


def test_no_node_at_all() -> None:
    for keys in (pa.array(KEYS), pa.array([], pa.utf8())):
        for threads in (1, 2):
            with pytest.raises(EmptyRing):
                HashRing().lookup_many(keys, threads=threads)


def test_a_function_is_not_asked_about_nulls() -> None:
    def after_colon(data: bytes) -> int:
        return int(data.split(b":")[1])

    ring = HashRing(["a", "b"], hash=after_colon)
    text = pa.array(["x:1", None, None, "x:2", None])
    masked = np.ma.MaskedArray(np.array(["x:1", "", "", "x:2", ""]), [False, True, True, False, True])
    for keys in (text, text.dictionary_encode(), pa.chunked_array([text[:2], text[2:]]), masked):
        owners = [ring.nodes[owner] for owner in ring.lookup_many(keys, null="b")]
        assert owners == [ring["x:1"], "b", "b", ring["x:2"], "b"]
