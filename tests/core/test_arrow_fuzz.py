"""Arrow data of any content: both twins read them alike or refuse them alike, and neither reads outside.

Buffers are as long as lengths and last offsets say, for that is the producer's word. Under `make sanitize` every byte
read outside of them is seen.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.errors import InvalidType, InvalidValue
from tests.core.conftest import Chunks, Handmade, data, view

WIDTHS = {
    b"c": 1,
    b"C": 1,
    b"s": 2,
    b"S": 2,
    b"i": 4,
    b"I": 4,
    b"l": 8,
    b"L": 8,
    b"w:0": 0,
    b"w:3": 3,
    b"w:17": 17,
}
INDICES = [b"c", b"C", b"s", b"S", b"i", b"I", b"l", b"L"]
EDGES = [-(1 << 31), -1, 0, 1, 5, 12, 13, 63, 64, 65, (1 << 31) - 1]
near = st.integers(-3, 70) | st.sampled_from(EDGES)


@st.composite
def columns(draw: st.DrawFn, depth: int = 1) -> Handmade:
    """Draw an array of one of the formats that are read, or nearly so."""
    rows, offset = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    kind = draw(st.sampled_from([*WIDTHS, b"u", b"z", b"U", b"Z", b"vu", b"vz", b"n", b"g", b"+s"]))
    there = rows + offset
    nulls = draw(st.none() | st.binary(min_size=(there + 7) // 8, max_size=(there + 7) // 8))
    return Handmade(
        kind,
        rows,
        [None if nulls is None else copied(nulls), *draw(contents(kind, there))],
        null_count=draw(st.sampled_from([-1, 0, rows, rows + 1])),
        offset=offset,
        dictionary=draw(columns(0)) if depth and kind in INDICES and draw(st.booleans()) else None,
    )


def contents(kind: bytes, rows: int) -> Any:
    """Return what draws the buffers behind that of the nulls."""
    if kind in (b"u", b"z", b"U", b"Z"):
        wild = st.tuples(st.lists(near, min_size=rows, max_size=rows), st.integers(-2, 64))
        tame = st.lists(st.integers(0, 64), min_size=rows + 1, max_size=rows + 1).map(sorted)
        numbers = wild.map(lambda drawn: [*drawn[0], drawn[1]]) | tame
        dtype = "i4" if kind in (b"u", b"z") else "i8"
        return numbers.map(lambda drawn: [np.array(drawn, dtype), copied(bytes(max(drawn[-1], 0)))])
    if kind in (b"vu", b"vz"):
        wild_or_tame = st.lists(views, min_size=rows, max_size=rows) | st.just(
            [view(9, inline=b"nine here")] * rows
        )
        return st.tuples(wild_or_tame, st.lists(st.integers(0, 64), max_size=3)).map(
            lambda drawn: [
                copied(b"".join(drawn[0])),
                *(copied(bytes(n)) for n in drawn[1]),
                np.array(drawn[1], "i8"),
            ]
        )
    size = WIDTHS.get(kind, 1) * rows
    return st.binary(min_size=size, max_size=size).map(lambda text: [copied(text)])


views = st.tuples(near, near, st.integers(-1, 3), near).map(lambda words: np.array(words, "i4").tobytes())


def copied(text: bytes) -> Any:
    """Return bytes in memory of their own, of no byte more."""
    return data(text).copy()


def outcome(core: SimpleNamespace, keys: Any) -> Any:
    try:
        hashes, nulls = core.columns.hashes_and_nulls(keys)
    except (InvalidType, InvalidValue) as refused:
        return type(refused), str(refused)
    nulls = np.zeros(len(hashes), np.bool_) if nulls is None else nulls
    return nulls.tolist(), hashes[~nulls].tolist()


@settings(max_examples=200, deadline=None)
@given(column=columns())
def test_any_data_are_read_or_refused_alike(twins: dict[str, SimpleNamespace], column: Handmade) -> None:
    for make in (lambda: column, lambda: Chunks([column, column])):
        found = [outcome(twin, make()) for twin in twins.values()]
        assert all(one == found[0] for one in found)
