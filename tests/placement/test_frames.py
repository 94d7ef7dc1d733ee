"""Frames of pandas, polars and Dask, partitioned as their keys are looked up one by one."""

import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ringfence.compat import envoy, fastring, tooz
from ringfence.errors import BackendUnavailable, EmptyRing, InvalidType, InvalidValue, UnknownNode
from ringfence.placement import HashRing, JumpHash, Maglev, frames

pd: Any = pytest.importorskip("pandas")
pl: Any = pytest.importorskip("polars")
dd: Any = pytest.importorskip("dask.dataframe", reason="Dask needs pyarrow, which has no wheels here")
pa: Any = pytest.importorskip("pyarrow")

NODES = ["east", "north", "south", "west"]
KEYS = [f"user:{i}" for i in range(200)]
RING: Any = HashRing(NODES)


def pandas_parts(frame: Any, placement: Any = RING, **options: Any) -> dict[str, list[int]]:
    parts = frames.pandas.partition(frame, placement, on="key", **options)
    return {node: part["number"].tolist() for node, part in parts.items()}


def polars_parts(frame: Any, placement: Any = RING, **options: Any) -> dict[str, list[int]]:
    parts = frames.polars.partition(pl.from_pandas(frame), placement, on="key", **options)
    return {node: part["number"].to_list() for node, part in parts.items()}


def lazy_parts(frame: Any, placement: Any = RING, **options: Any) -> dict[str, list[int]]:
    parts = frames.polars.partition(pl.from_pandas(frame).lazy(), placement, on="key", **options)
    found = pl.collect_all(parts.values())
    return {node: part["number"].to_list() for node, part in zip(parts, found, strict=True)}


def dask_parts(frame: Any, placement: Any = RING, **options: Any) -> dict[str, list[int]]:
    divided = dd.from_pandas(frame, npartitions=3, sort=False)
    parts = frames.dask.partition(divided, placement, on="key", **options)
    assert parts.npartitions == len(placement)
    assert list(parts.columns) == ["key", "number"]
    found = (part.compute(scheduler="sync") for part in parts.partitions)
    return {node: sorted(part["number"]) for node, part in zip(placement.nodes, found, strict=True)}


every_library = pytest.mark.parametrize("parts_of", [pandas_parts, polars_parts, lazy_parts, dask_parts])


def framed(keys: Any) -> Any:
    return pd.DataFrame({"key": keys, "number": np.arange(len(keys))})


def one_by_one(keys: list[Any], placement: Any = RING, null: str = "") -> dict[str, list[int]]:
    found: dict[str, list[int]] = {node: [] for node in placement.nodes}
    for number, key in enumerate(keys):
        found[null if key is None else placement[key]].append(number)
    return found


@every_library
@pytest.mark.parametrize("kind", [HashRing, JumpHash, Maglev])
def test_rows_are_where_their_keys_are(parts_of: Any, kind: Any) -> None:
    placement = kind(NODES)
    assert parts_of(framed(KEYS), placement) == one_by_one(KEYS, placement)
    assert parts_of(framed(KEYS), placement, threads=2) == one_by_one(KEYS, placement)
    assert parts_of(framed(list(range(50))), placement) == one_by_one(list(range(50)), placement)


@every_library
@pytest.mark.parametrize("kind", [envoy.ring_hash, envoy.maglev, fastring.ring, tooz.ring])
def test_rings_of_other_systems(parts_of: Any, kind: Any) -> None:
    ring = kind(NODES)
    assert parts_of(framed(KEYS), ring, threads=2) == one_by_one(KEYS, ring)
    keys = [None, *KEYS, None]
    assert parts_of(framed(keys), ring, null="south") == one_by_one(keys, ring, "south")


COLUMNS = [
    pd.Series(KEYS, dtype=object),
    pd.Series(KEYS, dtype="string"),
    pd.Series(KEYS, dtype="category"),
    pd.Series(KEYS, dtype=pd.ArrowDtype(pa.large_string())),
    pd.Series(KEYS, dtype=pd.ArrowDtype(pa.dictionary(pa.int16(), pa.utf8()))),
    pd.Series([key.encode() for key in KEYS]),
    pd.Series(range(200), dtype="Int64"),
    pd.Series(range(200), dtype=np.uint16),
    pd.Series(range(200), dtype=pd.ArrowDtype(pa.uint64())),
]


@every_library
@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.dtype))
def test_every_kind_of_column(parts_of: Any, column: Any) -> None:
    assert parts_of(framed(column)) == one_by_one(column.tolist())


@every_library
@pytest.mark.parametrize("dtype", [object, "string", "category", "Int64"])
def test_nulls_are_refused_or_given_to_a_node(parts_of: Any, dtype: Any) -> None:
    keys: list[Any] = list(range(60)) if dtype == "Int64" else KEYS[:60]
    keys[7] = keys[50] = None
    column = framed(pd.Series(keys, dtype=dtype))
    assert parts_of(column, null="south") == one_by_one(keys, null="south")
    with pytest.raises((InvalidValue, pl.exceptions.ComputeError), match="of the keys is null"):
        parts_of(column)


@every_library
def test_few_rows(parts_of: Any) -> None:
    assert parts_of(framed(KEYS[:1])) == one_by_one(KEYS[:1])
    assert parts_of(framed(KEYS), HashRing(["only"])) == {"only": list(range(200))}


def test_no_rows() -> None:
    empty = framed(pd.Series([], dtype=str))
    assert pandas_parts(empty) == polars_parts(empty) == lazy_parts(empty) == one_by_one([])


def test_labels_columns_and_types_stay() -> None:
    frame = framed(KEYS).set_index(pd.Index(range(1000, 1200), name="label"))
    divided: Any = dd.from_pandas(frame, npartitions=4)
    after: Any = frames.dask.partition(divided, RING, on="key")
    for part in frames.pandas.partition(frame, RING, on="key").values():
        pd.testing.assert_frame_equal(part, frame.loc[part.index])
    before, moved = (parts.compute(scheduler="sync").sort_index() for parts in (divided, after))
    pd.testing.assert_frame_equal(moved, before)
    assert after.index.name == "label"
    polars_frame = pl.from_pandas(frame)
    for parts in (
        frames.polars.partition(polars_frame, RING, on="key"),
        frames.polars.partition(polars_frame.lazy(), RING, on="key"),
    ):
        assert all(part.lazy().collect_schema() == polars_frame.schema for part in parts.values())


def test_a_lazy_frame_is_hashed_once_for_all_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []

    def counted(placement: Any, placed: Any, threads: int, null: Any, keys: Any) -> Any:
        hashed.append(len(keys))
        return pl.Series(RING.lookup_many(keys))

    monkeypatch.setattr(frames.polars, "_owners", counted)
    assert lazy_parts(framed(KEYS)) == one_by_one(KEYS)
    assert sum(hashed) == len(KEYS)


def test_many_nodes() -> None:
    ring = HashRing([f"node{i}" for i in range(300)])
    found = pandas_parts(framed(KEYS), ring)
    assert found == one_by_one(KEYS, ring)
    assert list(found) == list(ring.nodes)


@every_library
@pytest.mark.parametrize(
    ("placement", "options", "error", "says"),
    [
        ("ring", {}, InvalidType, "not 'ring'"),
        (HashRing(), {}, EmptyRing, "no nodes"),
        (RING, {"null": "z"}, UnknownNode, "'z'"),
        (RING, {"threads": 0}, InvalidValue, "threads"),
    ],
)
def test_wrong_arguments(
    parts_of: Any, placement: Any, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        parts_of(framed(KEYS), placement, **options)


@every_library
@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pd.Series([1.5, 2.5]), "float|format 'g'"),
        (pd.Series([True, False]), "bool|format 'b'"),
        (pd.to_datetime(pd.Series(["2026-01-01"])), "datetime|format 'ts"),
    ],
)
def test_columns_that_hold_no_keys(parts_of: Any, column: Any, says: str) -> None:
    with pytest.raises((InvalidType, pl.exceptions.ComputeError), match=says):
        parts_of(framed(column))


@every_library
def test_a_key_out_of_range(parts_of: Any) -> None:
    with pytest.raises((InvalidValue, pl.exceptions.ComputeError), match="not -1"):
        parts_of(framed([3, -1]))


@pytest.mark.parametrize(
    ("keys", "error", "says"),
    [
        (["a", 1], InvalidType, "'key' holds no keys of one type"),
        ([1 << 64], InvalidType, "'key' holds no keys of one type"),
        (["\ud800"], InvalidValue, "'key' holds text without UTF-8"),
    ],
)
def test_objects_that_are_no_column(keys: list[Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        pandas_parts(framed(pd.Series(keys, dtype=object)))


MADE: list[tuple[ModuleType, Any]] = [
    (frames.pandas, framed(KEYS)),
    (frames.polars, pl.from_pandas(framed(KEYS))),
    (frames.dask, dd.from_pandas(framed(KEYS), npartitions=2)),
]


@pytest.mark.parametrize(("module", "frame"), MADE, ids=[module.__name__ for module, _ in MADE])
def test_a_column_that_is_not_there(module: Any, frame: Any) -> None:
    with pytest.raises(InvalidValue, match=r"no column 'user'; its columns are 'key', 'number'"):
        module.partition(frame, RING, on="user")
    with pytest.raises(InvalidType, match=r"DataFrame.*, not dict"):
        module.partition({"key": []}, RING, on="key")


def test_a_column_that_is_there_twice() -> None:
    twice = framed(KEYS).rename(columns={"number": "key"})
    with pytest.raises(InvalidValue, match="more than one column 'key'"):
        frames.pandas.partition(twice, RING, on="key")


@pytest.mark.parametrize(("module", "frame"), MADE, ids=[module.__name__ for module, _ in MADE])
def test_a_missing_library_is_named(module: Any, frame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module.__name__.rpartition(".")[2]
    monkeypatch.setitem(sys.modules, "dask.dataframe" if name == "dask" else name, None)
    with pytest.raises(BackendUnavailable, match=rf"pip install 'ringfence\[{name}\]'"):
        module.partition(frame, RING, on="key")


def test_pandas_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert pandas_parts(framed([1, 2, 3])) == one_by_one([1, 2, 3])
    with pytest.raises(BackendUnavailable, match=r"pyarrow .*'ringfence\[pandas\]'"):
        pandas_parts(framed(pd.Series(["a"], dtype="category")))


def test_importing_the_helpers_loads_no_library() -> None:
    libraries = "{'pandas', 'polars', 'dask', 'pyarrow'}"
    program = f"import sys, ringfence.placement.frames; print({libraries} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "set()"
