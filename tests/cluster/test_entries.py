"""Keys as they are kept: the forms, and one order in memory and in SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from ringfence.cluster.entries import FIRST, Key, order, original, stored

keys = st.one_of(st.text(), st.binary(), st.integers(0, 2**64 - 1))


@given(keys)
def test_a_key_comes_back_as_it_was(key: Key) -> None:
    again = original(stored(key))
    assert again == key
    assert type(again) is type(key)


@given(st.lists(keys, unique=True))
def test_the_order_is_that_of_sqlite(found: list[Key]) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE entry (key NOT NULL PRIMARY KEY)")
        connection.executemany("INSERT INTO entry VALUES (?)", [(stored(key),) for key in found])
        listed = [
            key for (key,) in connection.execute("SELECT key FROM entry WHERE key > ? ORDER BY key", (FIRST,))
        ]
    assert listed == sorted(map(stored, found), key=order)


def test_large_integers_are_kept_as_negative_ones() -> None:
    assert [stored(key) for key in (2**63 - 1, 2**63, 2**64 - 1)] == [2**63 - 1, -(2**63), -1]


def test_subclasses_are_kept_as_what_they_are() -> None:
    class Name(str):
        __slots__ = ()

    assert type(stored(Name("k"))) is str
