"""Which source a URL names."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ringfence import _redis
from ringfence._url import hosts, split
from ringfence.errors import InvalidValue
from ringfence.placement.membership.sources import Source
from ringfence.placement.membership.sources.etcd import EtcdSource
from ringfence.placement.membership.sources.file import FileSource
from ringfence.placement.membership.sources.memory import MemorySource, named
from ringfence.placement.membership.sources.redis import RedisSource
from ringfence.placement.membership.sources.zookeeper import ZooKeeperSource

KNOWN = ("file", "memory", "zookeeper", "etcd", *_redis.SCHEMES)


def open_source(url: str) -> Source:
    """Return the source that a URL names; see `Membership.from_url`.

    Raises:
        InvalidType: `url` is not a string.
        InvalidValue: it names no known source.
        BackendUnavailable: what it needs is not installed.
    """
    scheme, rest = split(url, KNOWN)
    match scheme:
        case "file":
            return FileSource(_file_path(url, rest))
        case "memory":
            return MemorySource(named(rest))
        case "etcd":
            members, path = hosts(url, KNOWN)
            return EtcdSource([f"http://{member}" for member in members], path or "ringfence/members")
        case "zookeeper":
            members, path = hosts(url, KNOWN)
            return ZooKeeperSource(members, f"/{path or 'ringfence/members'}")
    return RedisSource(*_group(url))


def _file_path(url: str, rest: str) -> str:
    if not rest.startswith("/"):
        raise InvalidValue(f"{url!r} names no file; write file:///absolute/nodes.json, or FileSource(path)")
    return rest


def _group(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    options = parse_qsl(parts.query)
    groups = [value for name, value in options if name == "group"]
    others = urlencode([(name, value) for name, value in options if name != "group"])
    return urlunsplit(parts._replace(query=others)), groups[-1] if groups else "nodes"
