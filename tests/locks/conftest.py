"""The world of the tests of protocols, and the stores that tests of managers run on."""

from contextlib import closing
from pathlib import Path

import pytest

from ringfence.locks.opening import open_store
from ringfence.locks.stores.memory import MemoryStore
from tests.locks.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def store(world: World) -> MemoryStore:
    world.store = MemoryStore(world.clock, lambda: 1.7e9)
    return world.store


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.servers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store of each kind; a test may ask for others by the names of their servers."""
    if request.param == "memory":
        return f"memory://{tmp_path}"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/locks.db"
    server = request.getfixturevalue(f"{request.param}_server")
    if request.param == "zookeeper":
        return f"{server.url}/{tmp_path.name}?session=1000"
    with closing(open_store(server.url)) as store:
        for holder in store.leases():
            store.release(holder.name, holder.owner, holder.fence)
    return str(server.url)
