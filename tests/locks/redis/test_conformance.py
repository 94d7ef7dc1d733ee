"""Redis passes the suite of lock stores: for threads and tasks, with and without a disk, over TCP and Unix sockets."""

from typing import cast

import pytest

from ringfence.locks.stores import LockStore
from ringfence.locks.stores.redis.aio_store import AsyncRedisStore
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.servers.redis import Redis
from ringfence.testing.shared_lock import SharedLockSuite
from tests.locks.redis.beside import Beside


class TestThreads(SharedLockSuite, LockStoreSuite):
    """On a server that forgets everything when it is started again."""

    def setup_method(self) -> None:
        self.server = self.make().start()

    def teardown_method(self) -> None:
        self.server.close()

    def make(self) -> Redis:
        return Redis()

    def open(self) -> LockStore:
        return RedisStore(self.server.url, timeout=5.0)

    def restart(self, store: LockStore) -> LockStore:
        self.server.restart(keep_disk=False)
        return store


class TestTasks(TestThreads):
    def open(self) -> LockStore:
        return cast(LockStore, Beside(AsyncRedisStore(self.server.url, timeout=5.0)))


@pytest.mark.slow
class TestWithADisk(TestThreads):
    def make(self) -> Redis:
        return Redis(durable=True)

    def restart(self, store: LockStore) -> LockStore:
        self.server.restart()
        return store


@pytest.mark.slow
class TestUnixSocketWithAPassword(TestThreads):
    def make(self) -> Redis:
        return Redis(options={"requirepass": "geheim"})

    def open(self) -> LockStore:
        return RedisStore(self.server.unix_url, timeout=5.0)
