"""ZooKeeper passes the suite of lock stores."""

import itertools
from typing import Any

import pytest

from ringfence.locks.stores import LockStore
from ringfence.locks.stores.zookeeper.store import ZooKeeperStore
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.shared_lock import SharedLockSuite

_paths = itertools.count()


class TestZooKeeper(SharedLockSuite, LockStoreSuite):
    """On a clock that is moved by hand; each test has a folder of its own, which a restart keeps."""

    time = 1e9  # the thread of the store goes by the real clock, and has nothing to do until then

    @pytest.fixture(autouse=True)
    def _folder(self, zookeeper_server: Any) -> None:
        self.url = f"{zookeeper_server.url}/suite{next(_paths)}?session=200"

    def open(self) -> LockStore:
        return ZooKeeperStore(self.url, self.now)

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds
