"""Circles of every width, in both twins, against a look at every point."""

import hashlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from ringfence.errors import InvalidType, InvalidValue

NAMES = ("a", "b", "c", "d")


def data_of(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key


def md5_number(key: str | bytes) -> int:
    return int(hashlib.md5(data_of(key)).hexdigest(), 16)


def md5_word(key: str | bytes) -> int:
    return int.from_bytes(hashlib.md5(data_of(key)).digest()[:4], "little")


def xxh3(key: str | bytes) -> int:
    return xxhash.xxh3_64_intdigest(data_of(key))


HASHES: dict[int, tuple[str, Callable[[Any], int]]] = {
    32: ("md5_word", md5_word),
    64: ("xxh3", xxh3),
    128: ("md5", md5_number),
}

keys = st.lists(
    st.one_of(st.text(st.characters(codec="utf-8"), max_size=70), st.binary(max_size=70)),
    min_size=1,
    max_size=40,
)


def near(places: list[int], bits: int) -> list[int]:
    """Return points on the places themselves, one beside them, and some that share their upper bits."""
    offsets = (0, 1, -1, 1 << 40)
    return sorted({max(0, place + offsets[i % 4]) % (1 << bits) for i, place in enumerate(places)})


@pytest.mark.parametrize("takes_bytes", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("bits", HASHES)
@given(keys=keys, some=st.data())
def test_look_ups_are_those_of_a_look_at_every_point(
    core: SimpleNamespace, bits: int, after: bool, takes_bytes: bool, keys: list[Any], some: Any
) -> None:
    digest, key_hash = HASHES[bits]
    points = near([key_hash(key) for key in keys], bits)
    owners = some.draw(st.lists(st.integers(0, 3), min_size=len(points), max_size=len(points)))
    circle = core.circles.Circle(NAMES, points, owners, key_hash, bits, after, digest, takes_bytes)
    walks = [walk(points, owners, key_hash(key), after) for key in keys]
    assert [circle[key] for key in keys] == [found[0] for found in walks]
    assert [NAMES[i] for i in circle.lookup_many(keys)] == [found[0] for found in walks]
    assert [circle.replicas(key, 4) for key in keys] == [tuple(found) for found in walks]
    rows = circle.replicas_many(keys, 4)
    assert [[NAMES[i] for i in row] for row in rows] == walks
    assert circle.places == points


@pytest.mark.parametrize("takes_bytes", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("bits", HASHES)
def test_columns_are_placed_as_their_keys_are(
    core: SimpleNamespace, bits: int, after: bool, takes_bytes: bool
) -> None:
    digest, key_hash = HASHES[bits]
    words = ["", "é", "x" * 70, *(f"key {i}" for i in range(60))]
    points = near([0, *map(key_hash, words)], bits)  # 0 is where nulls are searched
    owners = [i % 4 for i in range(len(points))]
    circle = core.circles.Circle(NAMES, points, owners, key_hash, bits, after, digest, takes_bytes)
    octets = [word.encode() for word in words]
    for column, keys in ((np.array(words), words), (np.array(octets), octets)):
        assert [NAMES[i] for i in circle.lookup_many(column, threads=2)] == [circle[key] for key in keys]
        rows = circle.replicas_many(column, 3, threads=2)
        assert [tuple(NAMES[i] for i in row) for row in rows] == [circle.replicas(key, 3) for key in keys]
        masked = np.ma.array(column, mask=np.arange(len(keys)) % 2 == 1)
        found = circle.lookup_many(masked, null="c")
        assert [NAMES[i] for i in found[::2]] == [circle[key] for key in keys[::2]]
        assert set(found[1::2].tolist()) == {2}
        assert circle.replicas_many(masked, 3, null="c")[1::2].tolist() == [[2, 3, 0]] * (len(keys) // 2)
        with pytest.raises(InvalidValue, match="row 1 of the keys is null"):
            circle.lookup_many(masked)


def walk(points: list[int], owners: list[int], place: int, after: bool) -> list[str]:
    pairs = list(zip(points, owners, strict=True))
    later = [owner for point, owner in pairs if point > place or (point == place and not after)]
    order = later + [owner for _, owner in pairs[: len(pairs) - len(later)]]
    return [NAMES[owner] for owner in dict.fromkeys(order)]


@given(key=st.text("ab{}é", max_size=12))
def test_a_tag(core: SimpleNamespace, key: str) -> None:
    def tagged(key: str | bytes) -> int:
        _, opening, rest = data_of(key).decode().partition("{")
        tag, closing, _ = rest.partition("}")
        return md5_word(tag if opening and closing and tag else key)

    assert tagged("a{b}") == md5_word("b")
    points = sorted({md5_word(part) for part in ("a", "b", "ab", "ba", "aa", "bb", "é")})
    owners = [i % 4 for i in range(len(points))]
    circle = core.circles.Circle(NAMES, points, owners, tagged, 32, False, "md5_word", True, tag="{}")
    expected = walk(points, owners, tagged(key), False)[0]
    assert [circle[key], circle[key.encode()]] == [expected, expected]
    assert [NAMES[i] for i in circle.lookup_many([key] * 9)] == [expected] * 9


def test_what_cannot_be_read_goes_through_the_hash_given(core: SimpleNamespace) -> None:
    asked: list[Any] = []

    def key_hash(key: Any) -> int:
        asked.append(key)
        return 5

    circle = core.circles.Circle(NAMES, [3, 7], [0, 1], key_hash, 32, False, "md5_word", False)
    strange: list[Any] = ["é", b"a", "", 7, None, (1,)]
    assert [circle[key] for key in strange] == ["b"] * 6
    assert circle.lookup_many(strange).tolist() == [1] * 6
    assert asked == strange * 2


def test_without_a_hash_of_the_core(core: SimpleNamespace) -> None:
    circle = core.circles.Circle(NAMES, [1, 200], [2, 3], lambda key: int(key), 8)
    assert [circle["1"], circle["2"], circle["201"]] == ["c", "d", "c"]
    assert circle.lookup_many(["1", "2", "201"]).tolist() == [2, 3, 2]


def test_a_batch_longer_than_a_block(core: SimpleNamespace) -> None:
    points = [i << 22 for i in range(1000)]
    owners = [i % 4 for i in range(1000)]
    circle = core.circles.Circle(NAMES, points, owners, md5_word, 32, False, "md5_word", True)
    batch = [("k" * (i % 130)) + str(i) + ("é" if i % 17 == 0 else "") for i in range(1500)]
    assert circle.lookup_many(batch).tolist() == [NAMES.index(circle[key]) for key in batch]
    assert (circle.lookup_many(np.array(batch)) == circle.lookup_many(batch)).all()


def test_it_is_immutable(core: SimpleNamespace) -> None:
    circle = core.circles.Circle(NAMES, [1], [0], md5_word, 32)
    with pytest.raises(InvalidType, match="immutable"):
        circle.__init__(NAMES, [2], [0], md5_word, 32)
