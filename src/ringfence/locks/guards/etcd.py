"""A guard of data in etcd: compares a fence and writes in one transaction of the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ringfence._etcd import Etcd, Json, encoded, get_op, is_at, located, put_op
from ringfence.locks.guards.base import BaseGuard


class EtcdWrites:
    """What a guarded block wants to have written."""

    def __init__(self) -> None:
        self.collected: list[Json] = []

    def put(self, key: str | bytes, value: str | bytes) -> None:
        """Write a key."""
        self.collected.append({"requestPut": {"key": encoded(key), "value": encoded(value)}})

    def delete(self, key: str | bytes) -> None:
        """Remove a key, if it is there."""
        self.collected.append({"requestDeleteRange": {"key": encoded(key)}})


class EtcdGuard(BaseGuard[EtcdWrites]):
    """Lets the holder of the newest fence write to an etcd, and nobody older.

    ::

        guard = EtcdGuard("etcd://localhost:2379", "report")
        with manager.lock("report") as lease, guard.write(lease) as writes:
            writes.put("report/body", body)
            writes.delete("report/draft")

    The block collects writes; leaving it sends them in one transaction (Txn), which holds only if the mark is the one
    that was compared, so it holds up nobody. All of them are made or none. etcd takes 127 at most, and each key once.
    The mark is the key `ringfence/guard/<resource>`, unless the URL names a path for it. Needs urllib3 (extra `etcd`),
    and etcd 3.4 or newer.

    Args:
        url: `etcd://host:port,host:port`, or `etcds://…` (TLS), and a path perhaps.
        resource: what is guarded, of several things in one etcd; usually the name of the lock.
        timeout: seconds to wait for a connection and for each answer.

    Raises:
        InvalidType: an argument has the wrong type.
        InvalidValue: the URL is none of etcd, or the resource is no name.
        BackendUnavailable: urllib3 is not installed.
    """

    def __init__(self, url: str, resource: str, *, timeout: float = 5.0) -> None:
        super().__init__(resource)
        endpoints, path = located(url)
        self._etcd = Etcd(endpoints, timeout)
        self._key = f"{path or 'ringfence/guard'}/{resource}"

    def mark(self) -> int:
        """Return the highest fence that has written; 0 if none has."""
        return self._read()[0]

    def close(self) -> None:
        """Close the guard's connections. Closing twice is harmless."""
        self._etcd.close()

    @contextmanager
    def _writing(self, fence: int, check: Callable[[], None]) -> Iterator[EtcdWrites]:
        self._admit(fence, self.mark())
        check()
        writes = EtcdWrites()
        yield writes
        check()
        while not self._commit(fence, writes.collected):
            pass  # another one has raised the mark in between

    def _commit(self, fence: int, writes: list[Json]) -> bool:
        """Write if the mark is still the one that admits the fence; say whether it was."""
        mark, revision = self._read()
        self._admit(fence, mark)
        raised = [put_op(self._key, str(fence))] if fence != mark else []
        return self._etcd.txn([is_at(self._key, revision)], [*raised, *writes]).succeeded

    def _read(self) -> tuple[int, int]:
        """Return the mark, and the revision at which it was written; 0 and 0 if it was not."""
        [found] = self._etcd.txn([], [get_op(self._key)]).found
        return (int(found[0].value), found[0].mod_revision) if found else (0, 0)
