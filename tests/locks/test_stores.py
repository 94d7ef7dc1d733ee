"""Every store passes the same suite."""

from ringfence.locks.stores import LockStore
from ringfence.locks.stores.memory import MemoryStore
from ringfence.testing.lock_store import LockStoreSuite


class TestMemory(LockStoreSuite):
    def setup_method(self) -> None:
        self.now = 0.0

    def open(self) -> LockStore:
        return MemoryStore(lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
