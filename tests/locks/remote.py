"""A store in memory that passes for one that other processes use."""

import threading
from collections import Counter
from typing import Any

from ringfence.locks.stores.memory import MemoryStore


class Remote:
    """Stands for a memory store, and counts what is asked."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            self.asked[name] += 1
        return getattr(self._store, name)
