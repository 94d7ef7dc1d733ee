"""Slow and obvious twins of the rings of other systems: all points written out, and a look at each for every key."""

import struct
from collections.abc import Callable, Iterator
from hashlib import md5
from math import ceil, floor
from typing import NamedTuple

import xxhash

Servers = dict[str, int]
Points = Iterator[tuple[int, str]]
WORD, LONG = (1 << 32) - 1, (1 << 64) - 1


class Twin(NamedTuple):
    """A ring as its points and the place of a key.

    `after` says that a key exactly on a point belongs to the next one, `last` that of equal points the last counts.
    """

    points: Callable[[Servers], Points]
    place: Callable[[str], int]
    after: bool = False
    last: bool = False

    def walk(self, servers: Servers, key: str) -> list[str]:
        """Return the servers in the order of the ring from a key on, each once."""
        points = list(self.points(servers))
        if self.last:
            points = list(dict(points).items())
        place = self.place(key)
        points.sort(key=lambda point: point[0])
        behind = [name for point, name in points if point < place or (self.after and point == place)]
        return list(dict.fromkeys([name for _, name in points][len(behind) :] + behind))


def digest(text: str) -> bytes:
    return md5(text.encode(), usedforsecurity=False).digest()


def words(text: str) -> list[int]:
    return list(struct.unpack("<4I", digest(text)))


def first_word(text: str) -> int:
    return words(text)[0]


def big(text: str) -> int:
    return int(digest(text).hex(), 16)


def short(number: float) -> float:
    """Round to a C float."""
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


# --- memcached ------------------------------------------------------------------------------------------------


def libketama(servers: Servers) -> Points:
    total = sum(servers.values())
    for name, weight in servers.items():
        for k in range(floor(short(short(weight / total) * 40.0 * len(servers)))):
            for point in words(f"{name}-{k}"):
                yield point, name


def weighted(servers: Servers, called: Callable[[str], str] = str) -> Points:
    total = sum(servers.values())
    for name, weight in servers.items():
        share = short(short(short(short(weight / total) * 160) / 4) * len(servers))
        for k in range(floor(short(share + 0.0000000001))):
            for point in words(f"{called(name)}-{k}"):
                yield point, name


def without_port(name: str) -> str:
    return name.removesuffix(":11211")


def signed(data: bytes) -> list[int]:
    """Return the bytes as a C `char` has them."""
    return list(struct.unpack(f"{len(data)}b", data))


def one_at_a_time(text: str) -> int:
    h = 0
    for byte in signed(text.encode()):
        h = h + byte & WORD
        h = h + (h << 10) & WORD
        h ^= h >> 6
    h = h + (h << 3) & WORD
    h ^= h >> 11
    return h + (h << 15) & WORD


def libmemcached(servers: Servers) -> Points:
    if max(servers.values()) > 1:
        yield from weighted(servers, without_port)
        return
    for name in servers:
        for k in range(100):
            yield one_at_a_time(f"{without_port(name)}-{k}"), name


def spymemcached(servers: Servers) -> Points:
    if max(servers.values()) > 1:
        yield from weighted(servers)
        return
    for name in servers:
        for k in range(40):
            for point in words(f"{name}-{k}"):
                yield point, name


def twemproxy_key(key: str) -> int:
    """FNV-1a with the constants of 64 bits in numbers of 32, of what stands between braces."""
    data = key.encode()
    _, opened, rest = data.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    data = tag if opened and closed and tag else data
    h = 0xCBF29CE484222325 & WORD
    for byte in signed(data):
        h = (h ^ byte & WORD) * (0x100000001B3 & WORD) & WORD
    return h if data else 0


# --- proxies --------------------------------------------------------------------------------------------------


def xxh64(text: str) -> int:
    return xxhash.xxh64_intdigest(text.encode())


def envoy(least: int, point: Callable[[str], int]) -> Callable[[Servers], Points]:
    def points(servers: Servers) -> Points:
        total = sum(servers.values())
        smallest = min(servers.values()) / total
        scale = min(ceil(smallest * least) / smallest, 8388608.0)
        there, wanted = 0.0, 0.0
        for name, weight in servers.items():
            wanted += scale * (weight / total)
            number = 0
            while there < wanted:
                yield point(f"{name}_{number}"), name
                there, number = there + 1, number + 1

    return points


def murmur2(text: str) -> int:
    """MurmurHash2 for 64-bit platforms, byte by byte, with the seed of GNU's `std::hash`."""
    data, m = text.encode(), 0xC6A4A7935BD1E995
    h = 0xC70F6907 ^ len(data) * m & LONG
    while len(data) >= 8:
        k = int.from_bytes(data[:8], "little") * m & LONG
        k = (k ^ k >> 47) * m & LONG
        h = (h ^ k) * m & LONG
        data = data[8:]
    for i in reversed(range(len(data))):
        h ^= data[i] << 8 * i
    if data:
        h = h * m & LONG
    h = (h ^ h >> 47) * m & LONG
    return h ^ h >> 47


def full_hash(a: int) -> int:
    a = (a + 0x7ED55D16 + (a << 12)) & WORD
    a = (a ^ 0xC761C23C) ^ (a >> 19)
    a = (a + 0x165667B1 + (a << 5)) & WORD
    a = ((a + 0xD3A2646C) ^ (a << 9)) & WORD
    a = (a + 0xFD7046C5 + (a << 3)) & WORD
    a = (a ^ 0xB55A4F09) ^ (a >> 16)
    return a * 3221225473 & WORD


def haproxy_owner(servers: Servers, key: str) -> str:
    """Return the server of the nearest point, of two as near that of the one before."""
    h = 0
    for byte in key.encode():
        h = (h * 65599 + byte) & WORD
    place = full_hash(h)
    points = [
        (full_hash((number + 1) * 4096 + i), name)
        for number, (name, weight) in enumerate(servers.items())
        for i in range(16 * weight)
    ]
    return min(
        points, key=lambda point: min(((place - point[0]) % 2**32, 0), ((point[0] - place) % 2**32, 1))
    )[1]


# --- others ---------------------------------------------------------------------------------------------------


def numbered(count: int, form: str) -> Callable[[Servers], Points]:
    def points(servers: Servers) -> Points:
        for name, weight in servers.items():
            for k in range(count * weight):
                yield big(form.format(name, k)), name

    return points


def hadoop(text: str) -> int:
    """Return the MD5 of a text as Hadoop writes it: characters beyond U+FFFF as two surrogates of three bytes each."""
    units = text.encode("utf-16-be")
    written = b"".join(
        units[at : at + 2].decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
        for at in range(0, len(units), 2)
    )
    return int(md5(written, usedforsecurity=False).hexdigest(), 16)


def uhashring_ketama(servers: Servers) -> Points:
    for name, weight in servers.items():
        for k in range(40 * len(servers) * weight // sum(servers.values())):
            for point in words(f"{name}-{k}"):
                yield point, name


def hashring(servers: Servers) -> Points:
    for name, weight in servers.items():
        for k in range(floor(40 * len(servers) * weight / sum(servers.values()))):
            for point in words(f"{name}-{k}")[:3]:
                yield point, name


def fastring(servers: Servers) -> Points:
    for name, weight in servers.items():
        for k in range(20 * weight):
            yield xxhash.xxh3_64_intdigest(name.encode() + b"#" + struct.pack("<I", k)), name


def tooz(servers: Servers) -> Points:
    for name, weight in servers.items():
        for more in range(1, 32 * weight + 1):
            yield big(name + name * more), name


TWINS = {
    "libketama": Twin(libketama, first_word),
    "libmemcached": Twin(libmemcached, one_at_a_time),
    "libmemcached-weighted": Twin(lambda servers: weighted(servers, without_port), first_word),
    "libmemcached-spy": Twin(lambda servers: weighted(servers, "/{}".format), first_word),
    "spymemcached": Twin(spymemcached, first_word, last=True),
    "twemproxy": Twin(lambda servers: weighted(servers, without_port), twemproxy_key),
    "envoy": Twin(envoy(200, xxh64), xxh64),
    "envoy murmur2": Twin(envoy(100, murmur2), xxh64),
    "hdfs": Twin(numbered(1, "{}/{}"), hadoop, last=True),
    "uhashring": Twin(numbered(40, "{}-{}"), big, after=True, last=True),
    "uhashring ketama": Twin(uhashring_ketama, first_word, after=True, last=True),
    "hashring": Twin(hashring, first_word, after=True, last=True),
    "fastring": Twin(fastring, lambda key: xxhash.xxh3_64_intdigest(key.encode())),
    "tooz": Twin(tooz, big, after=True, last=True),
}
