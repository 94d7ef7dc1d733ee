"""Private, real servers for tests: started on free loopback ports, stopped, killed, paused; nothing outlives the tests.

Each comes from PATH (or Debian's own places), or else from the distribution's packages, which are then downloaded and
unpacked into a cache, without root and without an installation. `obtain` first looks for an environment variable
(`RINGFENCE_REDIS_URL`, …) that names a server which runs already. Needs Linux.
"""

from __future__ import annotations

import os

from ringfence.testing.servers.etcd import Etcd
from ringfence.testing.servers.external import ExternalServer
from ringfence.testing.servers.group import Group
from ringfence.testing.servers.mariadb import MariaDB
from ringfence.testing.servers.postgresql import PostgreSQL
from ringfence.testing.servers.redis import Redis
from ringfence.testing.servers.redis_cluster import RedisCluster
from ringfence.testing.servers.redis_sentinel import RedisSentinel
from ringfence.testing.servers.server import Server
from ringfence.testing.servers.single import SingleServer
from ringfence.testing.servers.zookeeper import ZooKeeper

__all__ = [
    "KINDS",
    "Etcd",
    "ExternalServer",
    "Group",
    "MariaDB",
    "PostgreSQL",
    "Redis",
    "RedisCluster",
    "RedisSentinel",
    "Server",
    "SingleServer",
    "ZooKeeper",
    "obtain",
]

KINDS: dict[str, type[Server]] = {
    "redis": Redis,
    "redis-sentinel": RedisSentinel,
    "redis-cluster": RedisCluster,
    "zookeeper": ZooKeeper,
    "etcd": Etcd,
    "postgresql": PostgreSQL,
    "mariadb": MariaDB,
}
"""The kinds of servers by name."""


def obtain(kind: str) -> Server:
    """Return a running server: the one that `RINGFENCE_<KIND>_URL` names, or a private one.

    Args:
        kind: one of `KINDS`.

    Raises:
        BackendUnavailable: there is none and none can be had; says what to do.
    """
    variable = f"RINGFENCE_{kind.upper().replace('-', '_')}_URL"
    if url := os.environ.get(variable):
        return ExternalServer(variable, url)
    return KINDS[kind]().start()
