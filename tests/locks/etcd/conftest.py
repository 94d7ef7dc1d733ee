"""Locks of one test's own in the etcd of all, or in one that the test may kill, by themselves or behind a proxy."""

import itertools
from collections.abc import Iterator

import pytest

from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import Server
from ringfence.testing.servers.etcd import Etcd
from ringfence.testing.servers.fixtures import PrivateServers

PREFIXES = itertools.count()


@pytest.fixture
def path() -> str:
    """What the keys of this test begin with."""
    return f"test{next(PREFIXES)}"


@pytest.fixture
def url(etcd_server: Server, path: str) -> str:
    return f"{etcd_server.url}/{path}"


@pytest.fixture
def proxy(etcd_server: Server) -> Iterator[Proxy]:
    with Proxy(int(etcd_server.url.rpartition(":")[2])) as opened:
        yield opened


@pytest.fixture
def through(proxy: Proxy, path: str) -> str:
    """The URL of the same locks through the proxy."""
    return f"etcd://127.0.0.1:{proxy.port}/{path}"


@pytest.fixture
def own(private_server: PrivateServers) -> Etcd:
    """An etcd for this test alone."""
    return private_server(Etcd())
