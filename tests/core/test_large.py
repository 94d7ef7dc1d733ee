"""Batches of more than 4 GiB of keys: their memory is zeros that the system lends without storing them."""

from types import SimpleNamespace
from typing import Any

import mmh3
import numpy as np
import pytest

from ringfence.errors import InvalidValue
from tests.core.conftest import Chunks, Handmade, view

pytestmark = pytest.mark.slow

ROW, ROWS = 64 << 20, 80
SIZE = ROW * ROWS  # 5 GiB
ENDS = [0, 63, 64, ROWS - 1]  # row 64 starts at 4 GiB


@pytest.fixture
def core(twins: dict[str, SimpleNamespace]) -> SimpleNamespace:
    """The compiled twin where there is one: only there a number can be too small for an offset."""
    return twins.get("c") or twins["python"]


def marked(width: int, rows: int = ROWS) -> Any:
    """Return rows of zeros, each of which ends with its number."""
    data = np.zeros(rows * width, np.uint8)
    data[width - 1 :: width] = np.arange(rows) + 1
    return data


def check(core: SimpleNamespace, keys: Any, data: Any) -> None:
    """Hold the hashes of rows of one width against those of some of them alone."""
    found = core.hashing.key_hash_many(keys).tolist()
    width = len(data) // len(found)
    assert len(set(found)) == len(found)
    for row in ENDS:
        alone = data[row * width : (row + 1) * width].tobytes()
        assert core.hashing.key_hash(alone) == found[row], row


def test_offsets_beyond_4_gib(core: SimpleNamespace) -> None:
    data = marked(ROW)
    keys = Handmade(b"U", ROWS, [None, np.arange(ROWS + 1, dtype=np.int64) * ROW, data])
    check(core, keys, data)
    late = Handmade(b"U", 1, [None, np.array([SIZE - 5, SIZE]), data])
    assert core.hashing.key_hash_many(late).tolist() == [core.hashing.key_hash(data[-5:].tobytes())]


def test_chunks_of_4_gib_together(core: SimpleNamespace) -> None:
    data, size = marked(ROW), 20 * ROW
    starts = np.arange(21, dtype=np.int32) * ROW
    chunks = [Handmade(b"u", 20, [None, starts, data[i * size : (i + 1) * size]]) for i in range(4)]
    check(core, Chunks(chunks), data)


def test_the_greatest_chunk_of_32_bits(core: SimpleNamespace) -> None:
    data = np.zeros((1 << 31) - 1, np.uint8)
    data[-1] = 7
    keys = Handmade(b"u", 2, [None, np.array([0, (1 << 31) - 4, (1 << 31) - 1], np.int32), data])
    assert core.hashing.key_hash_many(keys).tolist()[1] == core.hashing.key_hash(b"\0\0\7")


def test_views_into_buffers_of_4_gib_together(core: SimpleNamespace) -> None:
    data, size = marked(ROW), 20 * ROW
    buffers = [data[i * size : (i + 1) * size] for i in range(4)]
    views = b"".join(view(ROW, buffer=i // 20, start=i % 20 * ROW) for i in range(ROWS))
    sizes = np.full(4, size, np.int64)
    check(core, Handmade(b"vz", ROWS, [None, np.frombuffer(views, np.uint8), *buffers, sizes]), data)


def test_bytes_of_one_width(core: SimpleNamespace) -> None:
    data = marked(ROW)
    check(core, Handmade(f"w:{ROW}".encode(), ROWS, [None, data]), data)
    check(core, data.view(f"S{ROW}"), data)


def test_numpy_text(core: SimpleNamespace) -> None:
    text = np.zeros(SIZE // 4, np.uint32)  # whose trailing NULs do not count
    text[:: ROW // 4] = np.arange(ROWS) + ord("0")
    found = core.hashing.key_hash_many(text.view(f"U{ROW // 4}"))
    assert found.tolist() == [core.hashing.key_hash(chr(ord("0") + i)) for i in range(ROWS)]


def test_a_key_of_more_than_4_gib(core: SimpleNamespace) -> None:
    data = marked(SIZE, 1)
    column = Handmade(b"Z", 2, [None, np.array([0, SIZE - 1, SIZE]), data])
    found = core.hashing.key_hash_many(column).tolist()
    assert found == [mmh3.mmh3_x64_128_utupledigest(part)[0] for part in (data[:-1].data, data[-1:].data)]
    assert core.hashing.key_hash(bytes(SIZE - 1)) == found[0]


def test_an_offset_that_wraps_in_32_bits_is_refused(core: SimpleNamespace) -> None:
    data = np.zeros(SIZE, np.uint8)
    keys = Handmade(b"U", 2, [None, np.array([0, SIZE + 5, SIZE]), data])
    with pytest.raises(InvalidValue, match="row 0"):
        core.hashing.key_hash_many(keys)
