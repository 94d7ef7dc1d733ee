"""Redis and Valkey at the edge: redis-py opens connections and asks what is rare; its errors are translated here.

Hidden retries are off: whoever asks knows what may be asked twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from ringfence.errors import BackendUnavailable, InvalidValue, OutcomeUnknown, StoreError

SCHEMES = ("redis", "rediss", "unix")
SENTINEL = "redis+sentinel"
CLUSTER = ("redis+cluster", "rediss+cluster")
QUORUM = ("redis+quorum", "rediss+quorum")
STALE = """
-- Whether a mark is above a fence. They are compared as text, for a number of Lua has 53 bits.
local function stale(mark, fence)
  return #mark > #fence or (#mark == #fence and mark > fence)
end
"""
PREPARED_MARK = """
-- The key with the gids of prepared branches that were compared with a mark: until they are over, it is not raised.
local function prepared(mark)
  return mark .. ':prepared'
end
"""
_PORT = 6379
_SENTINEL_PORT = 26379


def client(url: str, *, timeout: float) -> Any:
    """Return a `redis.Redis` for a URL; nothing is connected yet.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with the options of redis-py; or
            `redis+sentinel://[user:password@]host:port,host:port/name[/db]`, which finds the primary when it connects.
        timeout: seconds to wait for a connection and for each answer.

    Raises:
        BackendUnavailable: redis-py is not installed.
        InvalidValue: redis-py does not understand the URL.
    """
    redis = _driver()
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    return _opened(url, redis.Redis, redis.sentinel.Sentinel, retry, timeout)


def aclient(url: str, *, timeout: float) -> Any:
    """Return a `redis.asyncio.Redis` for a URL; see `client`."""
    redis = _driver()
    retry = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)
    return _opened(url, redis.asyncio.Redis, redis.asyncio.sentinel.Sentinel, retry, timeout)


def sentinels(client: Any) -> list[Any]:
    """Return the clients of the Sentinels that a client asks for its primary."""
    manager = getattr(client.connection_pool, "sentinel_manager", None)
    return [] if manager is None else list(manager.sentinels)


def members(url: str) -> list[str]:
    """Return the addresses in `scheme://[user:password@]host:port,host:port/…`, each with its port.

    Raises:
        InvalidValue: one has no host, or a port that is none.
    """
    hosts = urlsplit(url).netloc.rpartition("@")[2]
    try:
        found = [urlsplit(f"//{host}") for host in hosts.split(",")]
        return [address(part.hostname or "", part.port or _PORT) for part in found]
    except ValueError as error:
        raise InvalidValue(
            f"{where(url)!r} is not host:port,host:port behind its scheme ({error})"
        ) from error


def address(host: str, port: int) -> str:
    """Return `host:port`, with brackets around what has colons.

    Raises:
        ValueError: there is no host.
    """
    if not host:
        raise ValueError("a host is missing")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def member(url: str, address: str) -> str:
    """Return the URL of one server, with the login and the options in a URL of several."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    scheme = parts.scheme.partition("+")[0]
    return urlunsplit((scheme, f"{login}{at}{address}", parts.path, parts.query, ""))


def guard_key(resource: str) -> str:
    """Return the key that keeps the highest fence which has written to a resource."""
    return f"ringfence:guard:{{{resource}}}"


def option(url: str, name: str) -> tuple[str, str | None]:
    """Return a URL without one of its options, and what that says: an option of ours, that redis-py does not know."""
    target, _, options = url.partition("?")
    given = parse_qsl(options, keep_blank_values=True)
    rest = urlencode([pair for pair in given if pair[0] != name])
    return f"{target}?{rest}" if rest else target, dict(given).get(name)


def where(url: str) -> str:
    """Return a URL as messages show it, without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def store(url: str) -> tuple[object, ...]:
    """Return what is equal for two URLs that are written differently and name one store."""
    parts = urlsplit(url)
    if parts.scheme == SENTINEL:
        name, _, db = parts.path.strip("/").partition("/")
        return SENTINEL, _addresses(parts.netloc, _SENTINEL_PORT), name, _db(db)
    if parts.scheme in CLUSTER:
        return CLUSTER, _addresses(parts.netloc, _PORT)
    given = dict(parse_qsl(parts.query)).get("db")
    if parts.scheme == "unix":
        return "unix", parts.path, _db(given)
    return "redis", _addresses(parts.netloc, _PORT), _db(given or parts.path.strip("/"))


def _db(said: str | None) -> int:
    return int(said) if said and said.isdecimal() else 0  # what is no number redis-py takes for 0


def _addresses(netloc: str, port: int) -> tuple[str, ...]:
    found = [urlsplit(f"//{host}") for host in netloc.rpartition("@")[2].split(",")]
    return tuple(sorted(address(part.hostname or "localhost", part.port or port) for part in found))


@contextmanager
def translating(place: str, sent: bool = False) -> Iterator[None]:
    """Translate what redis-py raises into our errors.

    Args:
        place: as messages show it.
        sent: a request was sent, so that a connection that breaks leaves it open what became of it.
    """
    errors = _driver().exceptions
    try:
        yield
    except errors.TimeoutError as error:
        raise OutcomeUnknown(f"{place} did not answer ({error}); ask again") from error
    except errors.ConnectionError as error:
        if sent:
            raise OutcomeUnknown(f"{place} did not answer ({error}); ask again") from error
        raise BackendUnavailable(
            f"{place} cannot be reached ({error}); see that a server runs there and that the URL fits it"
        ) from error
    except errors.RedisError as error:
        raise StoreError(f"{place} refused ({error})") from error


def _opened(url: str, kind: Any, sentinel: Any, retry: Any, timeout: float) -> Any:
    options = {"protocol": 3, "retry": retry, "socket_timeout": timeout, "socket_connect_timeout": timeout}
    try:
        if url.startswith(f"{SENTINEL}://"):
            return _primary(url, sentinel, options)
        return kind.from_url(url, **options)
    except (ValueError, TypeError) as error:
        raise InvalidValue(f"{where(url)!r} is no URL that redis-py understands ({error})") from error


def _primary(url: str, sentinel: Any, options: dict[str, Any]) -> Any:
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    name, _, db = parts.path.strip("/").partition("/")
    if not name:
        raise ValueError("the path is the name by which the Sentinels know the primary")
    pairs = [host.partition(":") for host in hosts.split(",")]
    addresses = [(host, int(port or _SENTINEL_PORT)) for host, _, port in pairs]
    asked = sentinel(addresses, sentinel_kwargs=options, **options)
    words = {"username": unquote(user) or None, "password": unquote(password) or None}
    return asked.master_for(name, db=int(db or 0), **words)


def _driver() -> Any:
    try:
        import redis.asyncio.retry
        import redis.asyncio.sentinel
        import redis.sentinel
    except ImportError as error:
        raise BackendUnavailable("Redis needs redis-py; install ringfence[redis]") from error
    return redis
