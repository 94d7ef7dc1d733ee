"""An asyncio store as threads see it, so that the suites of lock stores run over it."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from ringfence.locks.stores.redis.aio_cluster import AsyncClusterStore
from ringfence.locks.stores.redis.aio_store import AsyncRedisStore
from ringfence.locks.stores.redis.quorum_store import AsyncQuorumStore

LONG = 60.0


class Beside:
    """Stands for an asyncio store; each of its methods is carried out by an event loop in a thread."""

    def __init__(self, store: AsyncRedisStore | AsyncClusterStore | AsyncQuorumStore) -> None:
        self.shared = store.shared
        self._store = store
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            answer = getattr(self._store, method)(*args)
            return asyncio.run_coroutine_threadsafe(answer, self._loop).result(LONG)

        return call

    def close(self) -> None:
        """Close the store and the loop."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._store.close(), self._loop).result(LONG)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LONG)
        self._loop.close()
