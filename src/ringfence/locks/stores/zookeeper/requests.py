"""What the store asks of ZooKeeper, one method a question."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from posixpath import dirname
from typing import Any
from urllib.parse import unquote

from ringfence import _zookeeper
from ringfence.errors import OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks.stores import Holder, Shared
from ringfence.locks.stores.zookeeper import nodes
from ringfence.locks.stores.zookeeper.client import Client
from ringfence.locks.stores.zookeeper.nodes import Node
from ringfence.locks.stores.zookeeper.opening import Target
from ringfence.locks.stores.zookeeper.seat import Seat
from ringfence.protocol import now

_OWN = _zookeeper.EPHEMERAL | _zookeeper.SEQUENTIAL

_BATCH = 500
"""How many nodes one transaction checks; ZooKeeper takes requests of up to a megabyte."""


class Requests:
    """Asks over a session, whose requests are answered in the order in which they were sent.

    Each method raises `StoreTimeout` if nothing was sent, `OutcomeUnknown` if there was no answer, and `StoreError` if
    the answer is no.

    Args:
        target: where the folders are.
        client: keeps the session.
    """

    def __init__(self, target: Target, client: Client) -> None:
        self._base = target.base
        self._place = target.place
        self._client = client

    def line(self, folder: str, ttl: float = math.inf) -> list[Node]:
        """Return the line of a lock.

        The server at the other end may be behind its leader, which may have ended the session; so it first catches
        up, unless a write that the leader has answered lets the session last for longer than the ttl from now on.
        That it shows nodes which are gone harms nobody, and those it shows no more are gone.
        """
        kazoo = self._client.connected()
        if not self._client.lasts(ttl):
            _zookeeper.sync(kazoo, folder)
        return nodes.in_line(self._answer(kazoo.get_children_async(folder)) or ())

    def make(self, seat: Seat) -> list[Node]:
        """Make the node of a seat, and return the line it then stands in: one round trip, unless the folder is new.

        The line is up to date in what counts: it has all nodes before this one that were there when it was made.
        """
        kazoo = self._client.connected()
        text = b"%r" % seat.ttl
        while True:
            sent = now()
            asked = _zookeeper.create(kazoo, seat.prefix, text, _OWN)
            listed = kazoo.get_children_async(seat.folder)
            children = self._answer(listed)  # which comes after the answer to the creation
            made = self._answer(asked)
            self._client.wrote(sent)
            if made is not None:
                break
            self._make_folder(kazoo, seat.folder)
        self._seated(seat, *made)
        return nodes.in_line(children or ())

    def find(self, seat: Seat, own: Sequence[Node]) -> None:
        """Find the node whose creation was not answered among those of its owner: the one that this session made."""
        kazoo = self._client.connected()
        for node in own:
            path = f"{seat.folder}/{node.name}"
            stat = self._answer(kazoo.exists_async(path))
            if stat is not None and stat.ephemeralOwner == kazoo._session_id:
                self._seated(seat, path, stat)
                return

    def there(self, paths: Iterable[str]) -> set[str]:
        """Return which of these nodes are there: confirmed by a transaction, so by a quorum of the servers."""
        listed = list(paths)
        batches = [listed[start : start + _BATCH] for start in range(0, len(listed), _BATCH)]
        return {path for batch in batches for path in self._checked(batch)}

    def delete(self, path: str) -> bool:
        """Delete a node; say whether it was there."""
        sent = now()
        was_there = self._answer(self._client.connected().delete_async(path)) is not None
        self._client.wrote(sent)
        return was_there

    def watch(self, path: str, gone: Callable[[], None]) -> None:
        """Have `gone` called by a thread of kazoo when a node is gone, or is not watched (any more)."""
        kazoo = self._client.while_connected()
        if kazoo is None:
            gone()
        else:
            _zookeeper.watch(kazoo, path, gone)

    def clear(self, seat: Seat, is_back: Callable[[], bool], failed: Callable[[], None]) -> None:
        """Have the node of a seat deleted, and `failed` called if it is not known whether it was; wait for nothing.

        An owner that is back sees to that itself: the node may be its own by now, or one that is found the next one.
        """
        kazoo = self._client.while_connected()

        def delete(path: str) -> None:
            self._then(kazoo.delete_async(path), bool, failed)

        def delete_found(children: Sequence[str] | None) -> None:
            for child in () if is_back() else children or ():
                if f"{seat.folder}/{child}".startswith(seat.prefix):
                    delete(f"{seat.folder}/{child}")

        if kazoo is None:
            failed()
        elif seat.path:
            if not is_back():
                delete(seat.path)
        else:
            _zookeeper.sync(kazoo, seat.folder)
            self._then(kazoo.get_children_async(seat.folder), delete_found, failed)

    def holders(self, named: Sequence[tuple[str, Node]]) -> list[Holder]:
        """Return who holds locks by these nodes; what remains is given as the whole ttl."""
        kazoo = self._client.connected()
        asked = [kazoo.get_async(f"{nodes.folder(self._base, name)}/{node.name}") for name, node in named]
        found = []
        for (name, node), question in zip(named, asked, strict=True):
            if (answer := self._answer(question)) is not None:
                ttl, stat = answer
                shown = Shared(str(name), node.asked, node.of) if isinstance(name, Shared) else name
                found.append(Holder(shown, node.owner, stat.czxid * nodes.BLOCK, float(ttl)))
        return found

    def lines(self) -> list[tuple[str, list[Node]]]:
        """Return the lines of all locks, by name."""
        kazoo = self._client.connected()
        _zookeeper.sync(kazoo, self._base)
        found = []
        for kind, named in (("locks", str), ("shared", lambda name: Shared(name, 1, 1))):
            names = sorted(map(unquote, self._answer(kazoo.get_children_async(f"{self._base}/{kind}")) or ()))
            folders = [nodes.folder(self._base, named(name)) for name in names]
            asked = [kazoo.get_children_async(folder) for folder in folders]
            for name, question in zip(names, asked, strict=True):
                found.append((named(name), nodes.in_line(self._answer(question) or ())))
        return sorted(found, key=lambda line: line[0])

    def _answer(self, asked: Any) -> Any:
        return _zookeeper.answer(self._place, asked)

    def _seated(self, seat: Seat, path: str, stat: Any) -> None:
        if not nodes.is_usable(path):
            self.delete(path)
            raise StoreError(
                f"{seat.folder!r} in {self._place} has no numbers left; leave that lock alone for minutes"
            )
        seat.path, seat.fence = path, stat.czxid * nodes.BLOCK

    def _make_folder(self, kazoo: Any, folder: str) -> None:
        try:
            made = self._answer(_zookeeper.create(kazoo, folder, b"", _zookeeper.CONTAINER))
        except StoreError:
            if self._answer(kazoo.exists_async(folder)) is None:  # nobody else was faster
                raise
            return
        if made is None:
            self._answer(kazoo.ensure_path_async(dirname(folder)))

    def _checked(self, paths: list[str]) -> list[str]:
        """Return those of the paths that are there; a transaction says no more than which is the first that is not."""
        while paths:
            transaction = self._client.connected().transaction()
            for path in paths:
                transaction.check(path, -1)
            results = self._answer(transaction.commit_async())
            failed = [at for at, result in enumerate(results) if _zookeeper.is_failure(result)]
            if not failed:
                break
            del paths[failed[0]]
        return paths

    def _then(self, asked: Any, go_on: Callable[[Any], object], failed: Callable[[], None]) -> None:
        """Go on with the answer, once it is there."""

        def check(asked: Any) -> None:
            try:
                go_on(self._answer(asked))
            except (OutcomeUnknown, StoreTimeout):
                failed()
            except StoreError:
                return  # not to be had; the session's end will do it

        asked.rawlink(check)
