"""The hashes of memcached's clients and proxies, against the C of the originals."""

from collections.abc import Callable
from typing import Any

from ringfence._core.digests import digest
from ringfence.compat.memcached import HASHES


def test_the_hashes_of_twemproxy(vectors: Callable[[str], Any]) -> None:
    recorded = vectors("twemproxy_ketama")
    keys = [key.encode() for key in recorded["keys"]]
    assert set(recorded["hashes_of_keys"]) == set(HASHES)
    for name, hashes in recorded["hashes_of_keys"].items():
        assert [digest(HASHES[name], key) for key in keys] == hashes, name


def test_the_hashes_that_spymemcached_tests(vectors: Callable[[str], Any]) -> None:
    names = {
        "fnv1_64_low32": "fnv1_64",
        "fnv1a_64_low32": "fnv1a_64",
        "fnv1_32": "fnv1_32",
        "fnv1a_32": "fnv1a_32",
        "crc32_15bit": "crc32",
        "ketama_md5_le32": "md5_word",
    }
    tables = vectors("memcached_hashes")["tables"]
    assert set(tables) == set(names)
    for name, rows in tables.items():
        assert [digest(names[name], key) for key, _ in rows] == [number for _, number in rows], name
