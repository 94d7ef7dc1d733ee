"""A guard of data in ZooKeeper: compares a fence and writes in one transaction of the server (multi)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ringfence import _zookeeper
from ringfence._url import hosts
from ringfence.errors import StoreError
from ringfence.locks.guards.base import BaseGuard

_SESSION = 10.0


class ZooKeeperWrites:
    """What a guarded block wants to have written: the operations of a transaction of ZooKeeper."""

    def __init__(self) -> None:
        self.collected: list[tuple[str, tuple[Any, ...]]] = []

    def create(self, path: str, value: bytes = b"") -> None:
        """Make a node, in one that is there."""
        self.collected.append(("create", (path, value)))

    def set_data(self, path: str, value: bytes, version: int = -1) -> None:
        """Write a node that is there; at a version, if one is given."""
        self.collected.append(("set_data", (path, value, version)))

    def delete(self, path: str, version: int = -1) -> None:
        """Remove a node that is there; at a version, if one is given."""
        self.collected.append(("delete", (path, version)))

    def check(self, path: str, version: int) -> None:
        """Write nothing unless a node is at a version."""
        self.collected.append(("check", (path, version)))


class ZooKeeperGuard(BaseGuard[ZooKeeperWrites]):
    """Lets the holder of the newest fence write to a ZooKeeper, and nobody older.

    ::

        guard = ZooKeeperGuard("zookeeper://localhost:2181", "report")
        with manager.lock("report") as lease, guard.write(lease) as writes:
            writes.set_data("/report/body", body)
            writes.delete("/report/draft")

    The block collects writes; leaving it sends them in one transaction (multi), which holds only if the mark is the one
    that was compared, so it holds up nobody. All of them are made or none. The mark is the node
    `/ringfence/guard/<resource>`, unless the URL names a path for it. Needs kazoo (extra `zookeeper`).

    Args:
        url: `zookeeper://host:port,host:port` or `zookeeper://host:port,host:port/path`.
        resource: what is guarded, of several things in one ZooKeeper; usually the name of the lock.

    Raises:
        InvalidType: an argument has the wrong type.
        InvalidValue: the URL is none of ZooKeeper, or the resource is no name.
    """

    def __init__(self, url: str, resource: str) -> None:
        super().__init__(resource)
        self._hosts, path = hosts(url, ("zookeeper",))
        self._place = ", ".join(self._hosts)
        self._folder = f"/{path or 'ringfence/guard'}"
        self._path = f"{self._folder}/{_zookeeper.node_name(resource)}"
        self._client: Any = None
        self._lock = threading.Lock()

    def mark(self) -> int:
        """Return the highest fence that has written; 0 if none has."""
        return self._read()[0]

    def close(self) -> None:
        """End the guard's session. Closing twice is harmless."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            _zookeeper.end(client)

    @contextmanager
    def _writing(self, fence: int, check: Callable[[], None]) -> Iterator[ZooKeeperWrites]:
        self._admit(fence, self.mark())
        check()
        writes = ZooKeeperWrites()
        yield writes
        check()
        while not self._commit(fence, writes):
            pass  # another one has raised the mark in between

    def _commit(self, fence: int, writes: ZooKeeperWrites) -> bool:
        """Write if the mark is still the one that admits the fence; say whether it was."""
        mark, version = self._read()
        self._admit(fence, mark)
        client = self._opened()
        transaction = client.transaction()
        if version is None:
            transaction.create(self._path, b"%d" % fence)
        elif fence != mark:
            transaction.set_data(self._path, b"%d" % fence, version)
        else:
            transaction.check(self._path, version)
        for name, arguments in writes.collected:
            getattr(transaction, name)(*arguments)
        return self._succeeded(_zookeeper.answer(self._place, transaction.commit_async()))

    def _succeeded(self, results: list[Any]) -> bool:
        """Say whether a transaction was carried out, or failed at the mark.

        Raises:
            StoreError: it failed at a write of the block.
        """
        failed = [at for at, result in enumerate(results) if _zookeeper.is_failure(result)]
        if failed and failed[0] > 0:
            failure = results[failed[0]]
            raise StoreError(f"{self._place} refused ({failure!r}); nothing was changed") from failure
        return not failed

    def _read(self) -> tuple[int, int | None]:
        """Return the mark and its version; 0 and None if there is none."""
        found = _zookeeper.answer(self._place, self._opened().get_async(self._path))
        return (0, None) if found is None else (int(found[0]), found[1].version)

    def _opened(self) -> Any:
        with self._lock:
            if self._client is None:
                client = _zookeeper.connect(self._hosts, _SESSION)
                try:
                    _zookeeper.answer(self._place, client.ensure_path_async(self._folder))
                except BaseException:
                    _zookeeper.end(client)
                    raise
                self._client = client
            return self._client
