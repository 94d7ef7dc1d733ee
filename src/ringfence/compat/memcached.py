"""The rings of memcached's clients and of twemproxy: which server of a pool a key goes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ringfence._core.digests import digest
from ringfence.compat import _md5
from ringfence.compat._arguments import host_and_port, integer, key_bytes, members, one_of, whole
from ringfence.compat._ring import Ring, Rule, in_order, last_wins
from ringfence.errors import InvalidType, InvalidValue

_DEFAULT_PORT = 11211
_LONGEST_ADDRESS = 21
_LONGEST_HOST = 272
HASHES = {
    "one_at_a_time": "one_at_a_time",
    "md5": "md5_word",
    "crc16": "crc16",
    "crc32": "crc32",
    "crc32a": "crc32a",
    "fnv1_64": "fnv1_64",
    "fnv1a_64": "fnv1a_64",
    "fnv1_32": "fnv1_32",
    "fnv1a_32": "fnv1a_32",
    "hsieh": "hsieh",
    "murmur": "murmur2_twemproxy",
    "jenkins": "jenkins",
}
"""By twemproxy's names for them."""
_MD5 = Rule("ketama", _md5.word, digest="md5_word", takes_bytes=True)


def ring(
    servers: Mapping[str, int] | Iterable[str],
    client: str = "libketama",
    *,
    hash: str | None = None,  # noqa: A002 as twemproxy calls it
    hash_tag: str | None = None,
) -> Ring:
    """Return the ring that a client makes of its servers.

    - `libketama` follows RJ/ketama 18cf9a77, `libketama/ketama.c`: 160 points a server on average, by weight; keys by
      MD5.
    - `libmemcached` follows libmemcached 1.1.4, `libmemcached/hosts.cc`, with the behaviour `KETAMA`: 100 points a
      server, or by weight as soon as one is over 1; keys by Jenkins' one-at-a-time.
    - `libmemcached-weighted` is the same with `KETAMA_WEIGHTED` (pylibmc's `ketama_weighted`): 160 points on average,
      by weight; keys by MD5.
    - `libmemcached-spy` is that with the distribution `CONSISTENT_KETAMA_SPY` set afterwards.
    - `spymemcached` follows spymemcached 2.12.3, `KetamaNodeLocator.java`, with `KETAMA_HASH`: 160 points, or so many
      on average by weight; keys by MD5.
    - `twemproxy` follows twemproxy 60aaf855, `src/hashkit/nc_ketama.c`, a pool with `distribution: ketama`: 160 points
      on average, by weight; keys by `hash`.

    How many points a weight gives is computed with 32-bit floats, as there: 25 equal servers get 156 points each
    from libmemcached, not 160. Two points can be equal; then the server listed first has them (as glibc's `qsort`
    leaves them), with spymemcached the last.

    A server is written `host:port`. For spymemcached write what Java prints for its socket address, without a slash
    before it: `10.0.0.1:11211`, or `cache-1/10.0.0.1:11211` when the client was given a name. Weights that are not
    all 1 stand for its locator with weights. For twemproxy a server may have a name after a blank, as in its
    configuration: `10.0.0.1:11211 cache-1`.

    Args:
        servers: servers with their weights, or without for a weight of 1, in the order of the configuration.
        client: one of the above.
        hash: twemproxy's option: `one_at_a_time`, `md5`, `crc16`, `crc32`, `crc32a`, `fnv1_64`, `fnv1a_64` (its
            default), `fnv1_32`, `fnv1a_32`, `hsieh`, `murmur` or `jenkins`.
        hash_tag: twemproxy's option: two characters; what stands between them in a key is hashed instead of the key.

    Raises:
        InvalidType: a server that is no str, a weight that is no int.
        InvalidValue: an unknown client or hash, no server, one named twice or of another form, a weight less than 1
            (0 is 1 to libmemcached), or an address longer than libketama's 21 characters.
    """
    make = one_of("client", client, _CLIENTS)
    if client == "twemproxy":
        return make(servers, hash=hash or "fnv1a_64", hash_tag=hash_tag)
    if hash is not None or hash_tag is not None:
        raise InvalidValue(f"hash and hash_tag are options of twemproxy, not of {client}")
    return make(servers)


def _libketama(servers: Any) -> Ring:
    pool = members(servers, whole(1, 1 << 53), "server")
    for server in pool:
        if len(server.encode()) > _LONGEST_ADDRESS:
            raise InvalidValue(
                f"libketama has room for addresses of {_LONGEST_ADDRESS} characters, not {server!r}"
            )
    total, count = sum(pool.values()), len(pool)
    points = (
        point
        for owner, (server, weight) in enumerate(pool.items())
        for point in _md5.ketama_points(server, _libketama_hashes(weight, total, count), owner)
    )
    return Ring(pool, in_order(points), _MD5._replace(name="libketama"), _libketama)


def _libketama_hashes(weight: int, total: int, count: int) -> int:
    # floorf() takes a float: what was computed in double is rounded once more before it is rounded down.
    share = np.float32(weight) / np.float32(total)
    return int(np.floor(np.float32(float(share) * 40.0 * float(np.float32(count)))))


def _weighted_hashes(weight: int, total: int, count: int) -> int:
    share = np.float32(weight) / np.float32(total)
    scaled = share * np.float32(160) / np.float32(4) * np.float32(count)
    return int(np.floor(np.float32(float(scaled) + 0.0000000001)))


def _weighted_points(names: list[str], weights: Iterable[int]) -> Iterator[tuple[int, int]]:
    weights = list(weights)
    total, count = sum(weights), len(weights)
    for owner, (name, weight) in enumerate(zip(names, weights, strict=True)):
        yield from _md5.ketama_points(name, _weighted_hashes(weight, total, count), owner)


def _libmemcached(servers: Any) -> Ring:
    pool = members(servers, _weight_of_libmemcached, "server")
    names = [_without_default_port(server) for server in pool]
    if any(
        weight > 1 for weight in pool.values()
    ):  # adding such a server turns weights on, but not MD5 for keys
        points = list(_weighted_points(names, pool.values()))
    else:
        points = [
            (digest("one_at_a_time", f"{name}-{k}"), owner)
            for owner, name in enumerate(names)
            for k in range(100)
        ]
    return Ring(
        pool,
        in_order(points),
        Rule("libmemcached", _one_at_a_time, digest="one_at_a_time", takes_bytes=True),
        _libmemcached,
    )


def _libmemcached_weighted(servers: Any) -> Ring:
    pool = members(servers, _weight_of_libmemcached, "server")
    names = [_without_default_port(server) for server in pool]
    points = in_order(_weighted_points(names, pool.values()))
    return Ring(pool, points, _MD5._replace(name="libmemcached-weighted"), _libmemcached_weighted)


def _libmemcached_spy(servers: Any) -> Ring:
    pool = members(servers, _weight_of_libmemcached, "server")
    names = ["/{}:{}".format(*host_and_port(server)) for server in pool]
    points = in_order(_weighted_points(names, pool.values()))
    return Ring(pool, points, _MD5._replace(name="libmemcached-spy"), _libmemcached_spy)


def _spymemcached(servers: Any) -> Ring:
    pool = members(servers, whole(1, (1 << 31) - 1), "server")
    if any(weight > 1 for weight in pool.values()):
        points = list(_weighted_points(list(pool), pool.values()))
    else:
        points = [
            point for owner, server in enumerate(pool) for point in _md5.ketama_points(server, 40, owner)
        ]
    return Ring(pool, last_wins(points), _MD5._replace(name="spymemcached"), _spymemcached)


def _twemproxy(servers: Any, hash: str, hash_tag: str | None) -> Ring:  # noqa: A002
    pool = members(servers, whole(1, (1 << 31) - 1), "server")
    one_of("hash", hash, HASHES)
    _check_tag(hash_tag)
    total, count = sum(pool.values()), len(pool)
    points = (
        (point, owner)
        for owner, (server, weight) in enumerate(pool.items())
        for k in range(_weighted_hashes(weight, total, count))
        for point in _md5.words(f"{_name_in_twemproxy(server)}-{k}".encode()[:_LONGEST_HOST])
    )
    rule = Rule(
        f"twemproxy {hash}{' ' + hash_tag if hash_tag else ''}",
        partial(_hash_in_twemproxy, hash=hash, tag=hash_tag.encode() if hash_tag else None),
        digest=HASHES[hash],
        takes_bytes=True,
        tag=hash_tag,
    )
    return Ring(pool, in_order(points), rule, partial(_twemproxy, hash=hash, hash_tag=hash_tag))


def _hash_in_twemproxy(key: Any, hash: str, tag: bytes | None) -> int:  # noqa: A002
    data = key_bytes(key)
    if tag:
        start = data.find(tag[:1])
        end = data.find(tag[1:], start + 1) if start >= 0 else -1
        if end - start > 1:
            data = data[start + 1 : end]
    return digest(HASHES[hash], data) if data else 0


def _one_at_a_time(key: Any) -> int:
    return digest("one_at_a_time", key_bytes(key))


def _weight_of_libmemcached(what: str, weight: Any) -> int:
    return integer(what, weight, 0, (1 << 32) - 1) or 1


def _without_default_port(server: str) -> str:
    host, port = host_and_port(server)
    return host if port == _DEFAULT_PORT else f"{host}:{port}"


def _name_in_twemproxy(server: str) -> str:
    address, blank, name = server.partition(" ")
    if blank and not name:
        raise InvalidValue(f"the server {server!r} has a blank at its end, but no name after it")
    unnamed = _without_default_port(address)
    return name or unnamed


def _check_tag(tag: str | None) -> None:
    if tag is None:
        return
    if not isinstance(tag, str):
        raise InvalidType(f"hash_tag must be two characters, not {type(tag).__name__}: {tag!r}")
    if len(tag) != 2 or not tag.isascii():
        raise InvalidValue(f"hash_tag must be two ASCII characters, such as '{{}}', not {tag!r}")


_CLIENTS: dict[str, Callable[..., Ring]] = {
    "libketama": _libketama,
    "libmemcached": _libmemcached,
    "libmemcached-weighted": _libmemcached_weighted,
    "libmemcached-spy": _libmemcached_spy,
    "spymemcached": _spymemcached,
    "twemproxy": _twemproxy,
}
