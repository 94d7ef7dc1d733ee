"""Every store passes the same suite, and stores that break a rule do not."""

import tempfile
from pathlib import Path

from ringfence.locks.stores import LockStore
from ringfence.locks.stores.memory import MemoryStore
from ringfence.locks.stores.sqlite import SqliteStore
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.shared_lock import SharedLockSuite


class Timed(SharedLockSuite, LockStoreSuite):
    """The suite on a clock that is moved by hand."""

    time = 100.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


class TestMemory(Timed):
    def open(self) -> LockStore:
        return MemoryStore(self.now)


class TestMemoryByTheRealClock(SharedLockSuite, LockStoreSuite):
    def open(self) -> LockStore:
        return MemoryStore()


class TestSqlite(Timed):
    def setup_method(self) -> None:
        self.folder = tempfile.TemporaryDirectory()

    def teardown_method(self) -> None:
        self.folder.cleanup()

    def open(self) -> LockStore:
        return SqliteStore(Path(self.folder.name, "locks.db"), clock=self.now, timeout=5.0)
