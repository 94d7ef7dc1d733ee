"""Nodes that register with ZooKeeper.

A registration is an ephemeral, sequential child of the group's path, called by the node's name, and ends with a
session of its own. Of several with one name the last counts; those before it learn so at their next renewal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ringfence._zookeeper import answer, connect, end
from ringfence.errors import StoreDamaged, StoreError
from ringfence.placement.membership.sources import Entry, Member, Standing
from ringfence.placement.membership.sources.static import EventSource
from ringfence.placement.membership.sources.text import dump, load
from ringfence.protocol import now

_DIGITS = 10  # of a sequence number
_READING = 10.0  # seconds; of the session that only reads


@dataclass(slots=True)
class _Session:
    client: Any
    child: str
    renewed: float


class ZooKeeperSource(EventSource):
    """Nodes that register with ZooKeeper; they are dropped when it ends their session.

    A ttl is brought into the bounds that the servers have for sessions, by default 2 to 20 of their ticks.

    Args:
        hosts: `host:port` of the servers.
        path: the group's; made when it is missing.
    """

    def __init__(self, hosts: Sequence[str], path: str = "/ringfence/members") -> None:
        super().__init__()
        self._hosts = hosts
        self._path = path
        self._place = f"{', '.join(hosts)} {path!r}"
        self._reader: Any = None
        self._sessions: dict[str, _Session] = {}  # by owner

    def read(self) -> list[Member]:
        """Return the nodes that are registered, and wake the wait at the next change; see `Source`."""
        try:
            self._reader = self._reader or self._listening(connect(self._hosts, _READING))
            return self._listed(self._reader)
        except Exception:
            self.close()  # a session that has seen what the servers have lost is never let in again
            raise

    def close(self) -> None:
        """Close the connection that reads; sessions that were not left end after their ttl."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            end(reader)

    def enter(self, entry: Entry) -> int | None:
        """Register a node; the fence is the transaction that made it. See `Registry`."""
        self._end(entry.owner)
        client = connect(self._hosts, entry.ttl)
        try:
            session, fence = self._created(client, entry)
            rivals = self._rivals(client, entry, session.child)
        except BaseException:
            end(client)
            raise
        if entry.fence and any(_number(rival) < _number(session.child) for rival in rivals):
            end(client)  # one that was lost does not take the name from another
            return None
        self._sessions[entry.owner] = session
        return fence

    def renew(self, entries: Sequence[Entry]) -> list[Standing]:
        """Write to the nodes, so that their beats are seen; see `Registry`. The sessions are kept by kazoo."""
        return [self._renew(entry) for entry in entries]

    def leave(self, entry: Entry) -> None:
        """Take out a registration; see `Registry`."""
        session = self._sessions.get(entry.owner)
        if session is not None:
            try:
                self._ask(session.client.delete_async(self._at(session.child)))
            finally:
                self._end(entry.owner)

    def _listening(self, client: Any) -> Any:
        client.add_listener(lambda _: self.wake())
        self._ask(client.ensure_path_async(self._path))
        return client

    def _listed(self, client: Any) -> list[Member]:
        newest = {}
        for child in sorted(self._children(client, self._notice), key=_number):
            newest[_name(child)] = client.get_async(self._at(child))
        found = {child: self._ask(asked) for child, asked in newest.items()}
        return [self._member(*answered) for answered in found.values() if answered is not None]

    def _member(self, data: bytes, stat: Any) -> Member:
        return Member(load(data, self._place)[0], stat.czxid, stat.version)

    def _created(self, client: Any, entry: Entry) -> tuple[_Session, int]:
        started = now()
        self._ask(client.ensure_path_async(self._path))
        asked = client.create_async(
            f"{self._at(quote(entry.node.name, safe=''))}-",
            dump(entry.node, owner=entry.owner).encode(),
            ephemeral=True,
            sequence=True,
            include_data=True,
        )
        path, stat = self._ask(asked)
        return _Session(client, path.rpartition("/")[2], started), stat.czxid

    def _renew(self, entry: Entry) -> Standing:
        session = self._sessions[entry.owner]
        started = now()
        try:
            standing = self._standing(session, entry)
        except StoreError:
            if now() < session.renewed + entry.ttl:
                raise
            return Standing.LOST  # by a new session: the servers may never let this one in again
        if standing is Standing.HELD:
            session.renewed = started
        elif standing is Standing.REPLACED:
            self._end(entry.owner)
        return standing

    def _standing(self, session: _Session, entry: Entry) -> Standing:
        beat = session.client.set_async(self._at(session.child), dump(entry.node, owner=entry.owner).encode())
        rivals = self._rivals(session.client, entry, session.child)
        if self._ask(beat) is None:
            return Standing.REPLACED if rivals else Standing.LOST
        newer = any(_number(rival) > _number(session.child) for rival in rivals)
        return Standing.REPLACED if newer else Standing.HELD

    def _rivals(self, client: Any, entry: Entry, child: str) -> list[str]:
        """Return the children of the same name that other owners made."""
        found = [other for other in self._children(client) if _name(other) == _name(child) and other != child]
        answers = [(other, self._ask(client.get_async(self._at(other)))) for other in found]
        return [
            other
            for other, answered in answers
            if answered is not None and load(answered[0], self._place)[1].get("owner") != entry.owner
        ]

    def _children(self, client: Any, watch: Any = None) -> list[str]:
        children: list[str] | None = self._ask(client.get_children_async(self._path, watch))
        return children or []

    def _notice(self, _: object) -> None:
        self.wake()

    def _end(self, owner: str) -> None:
        session = self._sessions.pop(owner, None)
        if session is not None:
            end(session.client)

    def _at(self, child: str) -> str:
        return f"{self._path}/{child}"

    def _ask(self, asked: Any) -> Any:
        return answer(self._place, asked)


def _name(child: str) -> str:
    return child[: -_DIGITS - 1]


def _number(child: str) -> int:
    if not child[-_DIGITS:].isdecimal():
        raise StoreDamaged(f"the ZooKeeper node {child!r} is no registration; remove it")
    return int(child[-_DIGITS:])
