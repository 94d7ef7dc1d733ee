"""The world of the tests of protocols."""

import pytest

from ringfence.locks.stores.memory import MemoryStore
from tests.locks.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def store(world: World) -> MemoryStore:
    world.store = MemoryStore(world.clock, lambda: 1.7e9)
    return world.store
