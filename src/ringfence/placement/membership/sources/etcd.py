"""Nodes that register with etcd.

A node has two keys, both under its lease: `prefix/nodes/name`, which is watched, and `prefix/beats/name`, which is
written at each renewal and only read when the nodes are.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ringfence._etcd import Etcd, KeyValue, NotFound, Watch, get_op, is_absent, is_at, list_op, put_op, watch
from ringfence.placement.membership.sources import Entry, Member, Standing
from ringfence.placement.membership.sources.text import dump, load
from ringfence.placement.node import Node


class EtcdSource:
    """Nodes that register with etcd, over its JSON gateway; they are dropped when etcd ends their lease.

    A ttl is rounded up to whole seconds, and etcd makes it longer than its election timeout.

    Args:
        endpoints: `http://host:port` of its members.
        prefix: names the nodes that belong together.

    Raises:
        BackendUnavailable: urllib3 is not installed.
    """

    def __init__(self, endpoints: Sequence[str], prefix: str = "ringfence/members") -> None:
        self._client = Etcd(endpoints)
        self._place = f"{self._client.place} {prefix!r}"
        self._nodes, self._beats = f"{prefix}/nodes/", f"{prefix}/beats/"
        self._leases: dict[str, int] = {}  # by owner
        self._revision = 0
        self._watch: Watch | None = None
        self._woken = threading.Event()

    def read(self) -> list[Member]:
        """Return the nodes that are registered, as of one revision; see `Source`."""
        answer = self._client.txn([], [list_op(self._nodes), list_op(self._beats)])
        nodes, beats = answer.found
        self._revision = answer.revision
        versions = {kv.key.removeprefix(self._beats.encode()): kv.version for kv in beats}
        return [Member(self._load(kv)[0], kv.mod_revision, versions.get(self._name(kv), 0)) for kv in nodes]

    def wait(self, seconds: float) -> None:
        """Return when a node came, left or changed after the last reading, or after `seconds`.

        A watch of what etcd has compacted ends at once, and all nodes are read again.
        """
        self._watch = self._client.watch(watch(self._nodes, self._revision + 1))
        if not self._woken.is_set():
            self._watch.wait(seconds)
        self._woken.clear()

    def wake(self) -> None:
        """End the wait under way, or the next one."""
        self._woken.set()
        if self._watch is not None:
            self._watch.stop()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def enter(self, entry: Entry) -> int | None:
        """Register a node; the fence is the revision at which it was written. See `Registry`."""
        node, beat = self._nodes + entry.node.name, self._beats + entry.node.name
        lease = self._client.grant(math.ceil(entry.ttl))
        put = [put_op(node, dump(entry.node, owner=entry.owner), lease), put_op(beat, "", lease)]
        answer = self._client.txn([is_absent(node)] if entry.fence else [], put, [get_op(node)])
        if answer.succeeded:
            self._leases[entry.owner] = lease
            return answer.revision
        [[found]] = answer.found
        if self._owner(found) != entry.owner:
            return None
        self._client.keep_alive(found.lease)  # this owner's, from a request that was not answered
        self._leases[entry.owner] = found.lease
        return found.mod_revision

    def renew(self, entries: Sequence[Entry]) -> list[Standing]:
        """Keep leases alive and write beats; see `Registry`."""
        return [self._renew(entry) for entry in entries]

    def leave(self, entry: Entry) -> None:
        """Take out a registration by ending its lease; see `Registry`."""
        with suppress(NotFound):
            self._client.revoke(self._leases.pop(entry.owner, 0))

    def _renew(self, entry: Entry) -> Standing:
        node, beat = self._nodes + entry.node.name, self._beats + entry.node.name
        lease = self._leases[entry.owner]
        alive = self._client.keep_alive(lease)
        put = [put_op(beat, "", lease)] if alive else []
        try:
            answer = self._client.txn([is_at(node, entry.fence)], put, [get_op(node)])
        except NotFound:
            return Standing.LOST
        if answer.succeeded:
            return Standing.HELD if alive else Standing.LOST
        [found] = answer.found
        others = found and self._owner(found[0]) != entry.owner
        return Standing.REPLACED if others else Standing.LOST

    def _name(self, kv: KeyValue) -> bytes:
        return kv.key.removeprefix(self._nodes.encode())

    def _load(self, kv: KeyValue) -> tuple[Node, dict[str, Any]]:
        return load(kv.value, f"{self._place} key {kv.key!r}")

    def _owner(self, kv: KeyValue) -> object:
        return self._load(kv)[1].get("owner")
