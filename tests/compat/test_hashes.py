"""The hashes that no other part of the library has, against their own libraries and the C of the originals."""

from collections.abc import Callable
from typing import Any

import mmh3
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from ringfence.compat import _byte_hashes, _md5
from ringfence.compat._cassandra_murmur3 import murmur3_of_java
from ringfence.compat._xxh3 import xxh3_64

LENGTHS = [*range(260), 511, 512, 513, 1023, 1024, 1025, 1087, 1088, 1089, 2048, 2049, 5000]


def text_of(length: int) -> bytes:
    return bytes((i * 167 + length) % 256 for i in range(length))


def test_xxh3_of_every_length() -> None:
    for length in LENGTHS:
        data = text_of(length)
        assert xxh3_64(data) == xxhash.xxh3_64_intdigest(data), length


@given(st.binary(max_size=600))
def test_xxh3(data: bytes) -> None:
    assert xxh3_64(data) == xxhash.xxh3_64_intdigest(data)


@given(st.binary(max_size=70))
def test_the_murmur3_of_java_is_the_common_one_but_for_bytes_with_a_sign_at_the_end(data: bytes) -> None:
    common = mmh3.mmh3_x64_128_utupledigest(data, 0)[0]
    tail = data[len(data) // 16 * 16 :]
    assert (murmur3_of_java(data) == common) or not tail.isascii()


def test_a_byte_with_a_sign_at_the_end_counts() -> None:
    data = b"ends in \xff"
    assert murmur3_of_java(data) != mmh3.mmh3_x64_128_utupledigest(data, 0)[0]


@given(st.binary(max_size=70), st.integers(0, 2**32 - 1))
def test_murmur2(data: bytes, seed: int) -> None:
    assert _byte_hashes.murmur2(data, seed) == obvious_murmur2(data, seed)


def obvious_murmur2(data: bytes, seed: int) -> int:
    """Byte by byte, as the original's comments have it."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = seed ^ len(data)
    while len(data) >= 4:
        k = data[0] | data[1] << 8 | data[2] << 16 | data[3] << 24
        k = k * m & mask
        k ^= k >> 24
        k = k * m & mask
        h = (h * m & mask) ^ k
        data = data[4:]
    if len(data) == 3:
        h ^= data[2] << 16
    if len(data) >= 2:
        h ^= data[1] << 8
    if len(data) >= 1:
        h = (h ^ data[0]) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_the_hashes_of_twemproxy(vectors: Callable[[str], Any]) -> None:
    recorded = vectors("twemproxy_ketama")
    keys = [key.encode() for key in recorded["keys"]]
    assert set(recorded["hashes_of_keys"]) == set(_byte_hashes.BY_NAME)
    for name, hashes in recorded["hashes_of_keys"].items():
        assert [_byte_hashes.BY_NAME[name](key) for key in keys] == hashes, name


def test_the_hashes_that_spymemcached_tests(vectors: Callable[[str], Any]) -> None:
    functions = {
        "fnv1_64_low32": _byte_hashes.fnv1_64,
        "fnv1a_64_low32": _byte_hashes.fnv1a_64,
        "fnv1_32": _byte_hashes.fnv1_32,
        "fnv1a_32": _byte_hashes.fnv1a_32,
        "crc32_15bit": _byte_hashes.crc32,
        "ketama_md5_le32": _md5.word,
    }
    tables = vectors("memcached_hashes")["tables"]
    assert set(tables) == set(functions)
    for name, rows in tables.items():
        assert [functions[name](key.encode()) for key, _ in rows] == [number for _, number in rows], name
