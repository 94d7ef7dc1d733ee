"""Which kinds of store carry which recipe: the values of the fixture `url`."""

import pytest

from ringfence.locks.stores.memory import MemoryStore


def of_server(kind: str) -> object:
    return pytest.param(kind, marks=pytest.mark.servers)


SERVERS = ("redis", "redis_cluster", "postgresql", "mariadb", "zookeeper", "etcd")

SHARING = ["memory", "sqlite", *map(of_server, SERVERS)]
"""Those of which several may hold a lock at once."""

LASTING = [kind for kind in SHARING if kind != of_server("zookeeper")]
"""Those whose leases do not end with the process that took them."""


class Alone(MemoryStore):
    """A store that carries no shared locks."""

    shared = False
