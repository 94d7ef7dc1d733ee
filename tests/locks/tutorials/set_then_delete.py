"""The lock of Redis tutorials: `SET key 1 EX 5`, then `DEL key`; released by another `DEL key`."""

from typing import Any

import redis

from tests.locks.tutorials.tutorial import Tutorial


class SetThenDelete(Tutorial):
    """No `NX`, no owner, no fence, and a key that is gone before anything was locked."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url)

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        self._client.set(name, "1", ex=5)
        self._client.delete(name)
        return 1

    def release(self, name: str, owner: str, fence: int) -> bool:
        return bool(self._client.delete(name))

    def close(self) -> None:
        self._client.close()
