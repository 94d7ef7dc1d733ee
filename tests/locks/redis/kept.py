"""The lease of a plain lock as it stands in Redis."""

from typing import NamedTuple

from ringfence.locks.stores.redis.scripts import FIELDS
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis


class Kept(NamedTuple):
    """A lease; times are microseconds since 2020."""

    end: float
    fence: float
    fences: float
    waited: float
    owner: str


def kept(server: Redis, name: str) -> Kept | None:
    """Return the lease of a lock."""
    value = resp.ask(server.port, "GET", f"ringfence:{{{name}}}:lease")
    if value is None:
        return None
    end, fence, fences, waited = FIELDS.unpack_from(value)
    return Kept(end, fence, fences, waited, value[FIELDS.size :].decode())


def keep(server: Redis, name: str, lease: Kept) -> None:
    """Put the lease of a lock there."""
    value = FIELDS.pack(*lease[:4]) + lease.owner.encode()
    resp.ask(server.port, "SET", f"ringfence:{{{name}}}:lease", value, "PX", 60_000)
