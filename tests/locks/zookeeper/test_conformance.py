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
    """Each test has a folder of its own, which a restart keeps."""

    ttl = 0.5

    @pytest.fixture(autouse=True)
    def _folder(self, zookeeper_server: Any) -> None:
        self.url = f"{zookeeper_server.url}/suite{next(_paths)}?session=90"

    def open(self) -> LockStore:
        return ZooKeeperStore(self.url)
