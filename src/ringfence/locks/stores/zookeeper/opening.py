"""What the URL of a lock store in ZooKeeper says."""

from __future__ import annotations

import math
from typing import NamedTuple
from urllib.parse import unquote

from ringfence._url import hosts
from ringfence.errors import InvalidValue

SESSION = 20.0
"""Seconds after which ZooKeeper ends the session of a process that is silent, unless the URL says otherwise."""

SAFE = 0.5
"""The part of its session for which a lease may last at most.

The leader counts from what it heard last of a session, and no request tells it anything: each half tick its followers
do. One that dies right after it answered takes along what came since, and before that comes a pause between two
heartbeats, a third of the session (ZooKeeper's `LearnerHandler`, kazoo's `ConnectionHandler`).
"""


class Target(NamedTuple):
    """Where the locks are.

    Attributes:
        hosts: `host:port` of the servers.
        base: the path under which all folders are.
        user: `name:password`, or nothing.
        session: seconds.
    """

    hosts: list[str]
    base: str
    user: str
    session: float

    @property
    def place(self) -> str:
        """What to call it in errors; it does not tell the password."""
        return f"{', '.join(self.hosts)} {self.base!r}"


def target(url: str) -> Target:
    """Read `zookeeper://name:password@host:port,host:port/path?session=20`; only the hosts have to be there.

    Raises:
        InvalidType: `url` is not a string.
        InvalidValue: it names no host, or has an option that is not known.
    """
    address, _, options = url.partition("?") if isinstance(url, str) else (url, "", "")
    scheme, mark, rest = address.partition("://") if isinstance(url, str) else ("", "", "")
    user, at, _ = rest.rpartition("@")
    if at and ":" not in user:
        raise InvalidValue(f"a user of ZooKeeper is given as name:password before the @, not as {user!r}")
    names, path = hosts(f"{scheme}{mark}{rest[len(user + at) :]}" if at else address, ("zookeeper",))
    return Target(names, f"/{path or 'ringfence'}", unquote(user), _session(options))


def _session(options: str) -> float:
    if not options:
        return SESSION
    name, _, value = options.partition("=")
    try:
        seconds = float(value) if name == "session" else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 86_400:
        raise InvalidValue(f"{options!r}: the one option is session=, in seconds")
    return seconds
