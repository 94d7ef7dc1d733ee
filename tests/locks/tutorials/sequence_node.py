"""The lock of ZooKeeper tutorials: an ephemeral node with a sequence number, at which nobody looks."""

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from tests.locks.tutorials.tutorial import Tutorial


class SequenceNode(Tutorial):
    """The name that `create` answers is thrown away, so nobody is first; the release deletes a node that never was."""

    def __init__(self, hosts: str) -> None:
        self._client = KazooClient(hosts=hosts)
        self._client.start(timeout=30)

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        self._client.create(self._path(name), b"", ephemeral=True, sequence=True, makepath=True)
        self._client.exists(self._path(name))
        return 1

    def release(self, name: str, owner: str, fence: int) -> bool:
        try:
            self._client.delete(self._path(name))
        except NoNodeError:
            return False
        return True

    def close(self) -> None:
        self._client.stop()
        self._client.close()

    def _path(self, name: str) -> str:
        return f"/tutorial/{name}"
