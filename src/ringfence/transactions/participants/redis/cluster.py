"""The node of a Redis Cluster that serves a participant: all its keys have one hash tag, and so one slot.

Source: the Redis Cluster specification (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterable, Iterator
from typing import Any

from ringfence import _redis
from ringfence.errors import BackendUnavailable, StoreError, StoreTimeout
from ringfence.transactions.participants.redis.server import PATIENCE, AioServer, Server, is_of_cluster

SLOTS = 16384


class Slot:
    """What is known of the slot of a tag.

    Args:
        url: `redis+cluster://host:port,host:port`, with the options of redis-py; some of the nodes do.
        tag: the hash tag.
    """

    def __init__(self, url: str, tag: str) -> None:
        self._url = url
        self._number = crc_hqx(tag.encode(), 0) % SLOTS
        self._seeds = _redis.members(url)
        self._known: list[str] = []

    def urls(self) -> Iterator[str]:
        """Yield the URLs of nodes that may tell where the slot is, those first that had it last."""
        return (_redis.member(self._url, address) for address in dict.fromkeys((*self._known, *self._seeds)))

    def failed(self) -> None:
        """Ask the node that served the slot last: cut off from the others, it may still think that it does."""
        self._known = self._known[1:]

    def served(self, asked: str, ranges: Iterable[Any]) -> str:
        """Return the URL of the node that serves the slot, from what `CLUSTER SLOTS` answered at one.

        Raises:
            StoreTimeout: no node serves it now.
        """
        for first, last, primary, *others in ranges:
            if first <= self._number <= last:
                self._known = [_address(node, asked) for node in (primary, *others)]
                return _redis.member(self._url, self._known[0])
        raise StoreTimeout(f"no node of {_redis.where(self._url)} serves the slot of the tag now; try again")


class ClusterServer(Server):
    """A Redis Cluster that threads ask, at the node that serves a tag; see `Server`.

    After any error the node is looked for anew: another may have taken its place.
    """

    def __init__(self, url: str, tag: str) -> None:
        self.place = _redis.where(url)
        self._slot = Slot(url, tag)
        self._client: Any = None

    def ask(self, *words: str) -> Any:
        """Return the answer to a command that changes nothing."""
        try:
            return super().ask(*words)
        except BackendUnavailable:
            return super().ask(*words)

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        if self._client is not None:
            super().close()

    def _connected(self) -> tuple[Any, Any]:
        try:
            return super()._connected()
        except BackendUnavailable:  # nothing was sent
            return super()._connected()

    def _reached(self) -> Any:
        client = self._client
        if client is None:
            client = self._client = _redis.client(self._look(), timeout=PATIENCE)
        return client

    def _look(self) -> str:
        failed: StoreError | None = None
        for url in self._slot.urls():
            client = _redis.client(url, timeout=PATIENCE)
            try:
                with _redis.translating(self.place):
                    return self._slot.served(url, client.execute_command("CLUSTER", "SLOTS"))
            except StoreError as error:
                failed = error
            finally:
                client.close()
        raise _unreachable(self.place) from failed

    def _explained(self, error: BaseException) -> BaseException:
        if isinstance(error, StoreError) and (client := self._client) is not None:
            self._client = None
            self._slot.failed()
            client.connection_pool.disconnect(inuse_connections=False)
        return _moved(self.place) if is_of_cluster(error) else error


class AioClusterServer(AioServer):
    """A Redis Cluster that tasks ask; see `ClusterServer`."""

    def __init__(self, url: str, tag: str) -> None:
        self.place = _redis.where(url)
        self._slot = Slot(url, tag)
        self._client: Any = None

    async def ask(self, *words: str) -> Any:
        """Return the answer to a command that changes nothing."""
        try:
            return await super().ask(*words)
        except BackendUnavailable:
            return await super().ask(*words)

    async def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        if self._client is not None:
            await super().close()

    async def _connected(self) -> tuple[Any, Any]:
        try:
            return await super()._connected()
        except BackendUnavailable:
            return await super()._connected()

    async def _reached(self) -> Any:
        if self._client is None:
            url = await self._look()
            if self._client is None:  # no other task was faster
                self._client = _redis.aclient(url, timeout=PATIENCE)
        return self._client

    async def _look(self) -> str:
        failed: StoreError | None = None
        for url in self._slot.urls():
            client = _redis.aclient(url, timeout=PATIENCE)
            try:
                with _redis.translating(self.place):
                    return self._slot.served(url, await client.execute_command("CLUSTER", "SLOTS"))
            except StoreError as error:
                failed = error
            finally:
                await client.aclose()
        raise _unreachable(self.place) from failed

    async def _explained(self, error: BaseException) -> BaseException:
        if isinstance(error, StoreError) and (client := self._client) is not None:
            self._client = None
            self._slot.failed()
            await client.connection_pool.disconnect(inuse_connections=False)
        return _moved(self.place) if is_of_cluster(error) else error


def _address(node: Any, asked: str) -> str:
    """Return host and port of a node; one that does not know its own name is where it was asked."""
    host, port, *_ = node
    name = host.decode() if isinstance(host, bytes) else host
    return _redis.address(name or _redis.members(asked)[0].rpartition(":")[0].strip("[]"), int(port))


def _unreachable(place: str) -> BackendUnavailable:
    return BackendUnavailable(f"no node of {place} can be reached, or is one of a cluster")


def _moved(place: str) -> StoreTimeout:
    return StoreTimeout(f"the slot of the tag has moved in {place}; nothing was changed, try again")
