"""The stores on which things go wrong, and what can go wrong there."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ringfence.testing.proxy import Proxy
from ringfence.testing.servers.etcd import Etcd
from ringfence.testing.servers.mariadb import MariaDB
from ringfence.testing.servers.postgresql import PostgreSQL
from ringfence.testing.servers.redis import Redis
from ringfence.testing.servers.single import SingleServer
from ringfence.testing.servers.zookeeper import ZooKeeper
from tests.locks.faults.crew import Crew
from tests.locks.faults.majority import OneOfThree
from tests.locks.faults.nemesis import (
    OF_CONNECTIONS,
    OF_HOLDERS,
    OF_SERVERS,
    OF_SESSIONS,
    Fault,
    Scene,
    connections_cut,
    server_killed,
)

OF_ALL = (*OF_HOLDERS, *OF_SERVERS, *OF_CONNECTIONS)


@dataclass(frozen=True)
class Kind:
    """A store, and what it has to survive without two holders.

    Attributes:
        name: of the store.
        faults: what goes wrong there.
        server: makes its server, which keeps what it knows on its disk; None for a file.
        quick: those of the faults that `make test` has time for.
        counts_on: whether its fences go on upward when its disk was lost.
        leases: how many are taken in a test that is slow.
        options: what is added to the URL.
    """

    name: str
    faults: tuple[Fault, ...]
    server: Callable[[], SingleServer] | None = None
    quick: tuple[Fault, ...] = ()
    counts_on: bool = False
    leases: int = 1000
    options: str = ""


KINDS = (
    Kind("sqlite", OF_HOLDERS, quick=OF_HOLDERS),
    Kind(
        "redis",
        OF_ALL,
        lambda: Redis(durable=True),
        quick=(*OF_HOLDERS, server_killed, connections_cut),
        counts_on=True,
    ),
    Kind("quorum", OF_ALL, OneOfThree, leases=400),
    Kind("zookeeper", (*OF_ALL, *OF_SESSIONS), ZooKeeper, options="?session=3", leases=200),
    Kind("etcd", OF_ALL, Etcd, leases=400),
    Kind("postgresql", OF_ALL, PostgreSQL, counts_on=True, leases=400),
    Kind("mariadb", OF_ALL, MariaDB, counts_on=True, leases=400),
)


@contextmanager
def scene(kind: Kind, folder: Path, seed: str) -> Iterator[Scene]:
    """Start the server and the workers of a store."""
    with ExitStack() as until:
        if kind.server is None:
            direct = proxied = f"sqlite:///{folder}/locks.db"
            server = proxy = None
        else:
            server = until.enter_context(kind.server())
            proxy = until.enter_context(Proxy(server.port))
            direct = server.url + kind.options
            proxied = direct.replace(f":{server.port}", f":{proxy.port}")
        posts = (("threads", proxied), ("tasks", proxied), ("forks", direct))
        crew = until.enter_context(Crew(folder, posts))
        crew.wait_for_turns()
        yield Scene(crew, random.Random(seed), server, proxy)
