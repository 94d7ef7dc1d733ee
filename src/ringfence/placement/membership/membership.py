"""A ring that follows its source."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, Unpack

from ringfence.errors import InvalidValue, StoreError
from ringfence.placement.arguments import one_node
from ringfence.placement.membership.arguments import Options, check_ring, check_seconds
from ringfence.placement.membership.changes import Board, Callback, Changes
from ringfence.placement.membership.debounce import Debounce
from ringfence.placement.membership.follower import Follower
from ringfence.placement.membership.opening import open_source
from ringfence.placement.membership.registration import Registrar, Registration
from ringfence.placement.membership.sources import Registry, Source
from ringfence.placement.node import Node
from ringfence.placement.protocol import Placement
from ringfence.placement.ring import HashRing
from ringfence.protocol import now as default_clock

_GATHERING = 0.02
"""Seconds between two readings at least, so that a burst of changes is not read one by one."""


class Membership:
    """Keeps a current ring of the nodes that a source lists.

    ::

        with Membership.from_url("redis://localhost:6379/0?group=shards") as membership:
            membership.register(Node("shard-7", zone="east"))
            membership.ring["user:42"]

    One daemon thread watches the source, however many readers there are; a second renews registrations, once there is
    one. `ring` is replaced as a whole by one assignment, so readers need no lock. Making a membership reads the source,
    and its nodes are in the ring at once; later changes must stand for `debounce` seconds.

    What happens when the source fails: the last ring stays, `error` says why and `age` how old it is. The same when
    what it lists is malformed, and when it lists no nodes although there were some, as a server does that has lost its
    data, unless `allow_empty`.

    In a forked child the ring stays as it was, `age` grows, and nodes cannot be registered: the connections are the
    parent's.

    Args:
        source: where the nodes are listed; the membership closes it in the end.
        ring: the placement to begin with, of any kind: its options are kept. If it has nodes, they are taken for those
            known last, so that epochs go on, and the source need not answer at once.
        debounce: seconds for which a change must stand; 0 publishes at once. More than a third of the ttl of the
            registrations outlasts a server that lost its data.
        hold: seconds for which a flapping node is held out at most.
        poll: seconds after which the source is read again if it has not called before.
        allow_empty: publish a ring without nodes when the source lists none.
        watch: whether to start the thread; without it, call `refresh`.
        clock: seconds on a clock that never goes back.

    Attributes:
        board: where the rings are published.

    Raises:
        InvalidType: an argument of another type.
        InvalidValue: an argument out of bounds, or the source lists what are no nodes.
        StoreError: the source cannot be read, and `ring` has no nodes.
    """

    def __init__(
        self,
        source: Source,
        ring: Placement | None = None,
        *,
        debounce: float = 5.0,
        hold: float = 300.0,
        poll: float = 1.0,
        allow_empty: bool = False,
        watch: bool = True,
        clock: Callable[[], float] = default_clock,
    ) -> None:
        first = check_ring(HashRing() if ring is None else ring)
        window, hold = check_seconds("debounce", debounce, 0), check_seconds("hold", hold, 0)
        check_seconds("poll", poll, 0.01)
        self.board = Board(first)
        self._follower = Follower(
            source,
            self.board,
            lambda nodes: Debounce(nodes, window, hold, allow_empty),
            poll,
            allow_empty,
            clock,
        )
        self._source, self._poll, self._clock = source, poll, clock
        self._process = os.getpid()
        self._closing = threading.Event()
        self._registrar = Registrar(source, clock) if isinstance(source, Registry) else None
        self._watcher: threading.Thread | None = None
        try:
            self._follower.begin()
        except BaseException:
            source.close()
            raise
        if watch:
            self._watcher = threading.Thread(target=self._watch, name="ringfence-membership", daemon=True)
            self._watcher.start()

    @classmethod
    def from_url(cls, url: str, ring: Placement | None = None, **options: Unpack[Options]) -> Self:
        """Open a membership on the source that a URL names, with the options of the constructor.

        - `file:///etc/nodes.json`: a JSON or YAML file
        - `memory://name`: in this process
        - `redis://host:6379/0?group=name`, `rediss://` and `unix://` likewise
        - `zookeeper://host:2181,host:2181/path`
        - `etcd://host:2379,host:2379/prefix`

        Raises:
            InvalidType: `url` is not a string.
            InvalidValue: it names no known source.
            StoreError: the source cannot be read, and `ring` has no nodes.
        """
        return cls(open_source(url), ring, **options)

    @property
    def ring(self) -> Placement:
        """The newest ring: an immutable snapshot."""
        return self.board.ring

    @property
    def epoch(self) -> int:
        """The epoch of the newest ring: it grows by one for each node that came or left, and never goes back.

        It counts the changes of this membership; that of another process has an epoch of its own.
        """
        return self.board.ring.epoch

    @property
    def error(self) -> Exception | None:
        """Why the last reading of the source was not taken, or None if it was."""
        return self._follower.error

    @property
    def age(self) -> float:
        """Seconds since a reading of the source was taken."""
        return max(0.0, self._clock() - self._follower.read_at)

    def on_change(self, callback: Callback) -> None:
        """Have `callback(old, new, diff)` called at each change, in order.

        It is called by the thread that watches, and holds up the next change until it returns. What it raises goes to
        `threading.excepthook`.

        Raises:
            InvalidType: `callback` cannot be called.
        """
        self.board.listen(callback)

    def changes(self) -> Changes:
        """Return an iterator over the changes `(old, new, diff)` from now on, until the membership is closed."""
        return Changes(self.board)

    def suspicion(self, name: str) -> float:
        """Return how much a node of the ring is suspected to be dead, by the silence of its registration.

        It is the phi of `PhiAccrual`, as of the last reading that was taken. It is 0 for nodes that do not register,
        and never changes the ring.

        Raises:
            UnknownNode: the ring has no node of that name.
        """
        return self._follower.suspicions.get(self.ring.node(name).name, 0.0)

    def suspects(self, threshold: float = 8.0) -> tuple[str, ...]:
        """Return the nodes of the ring that are suspected at least as much as `threshold`, in the ring's order."""
        suspicions = self._follower.suspicions
        return tuple(name for name in self.ring.nodes if suspicions.get(name, 0.0) >= threshold)

    def register(self, node: str | Node, ttl: float = 10.0) -> Registration:
        """Register a node with the source, in place of whoever has its name, and keep it registered.

        Args:
            node: its name, or a `Node` with weight and zone.
            ttl: seconds after which it is dropped unless it is renewed, from 0.1 to a day; it is renewed after each
                third. ZooKeeper and etcd have lower bounds of their own, and round up.

        Raises:
            InvalidType: an argument of another type.
            InvalidValue: the ttl is out of bounds, or nodes cannot register with this source.
            StoreError: the membership was closed, or is that of a forked child's parent; or the source failed or did
                not answer, and what it may have taken in is dropped after the ttl.
        """
        member = one_node(node)
        seconds = check_seconds("ttl", ttl, 0.1)
        if self._registrar is None:
            raise InvalidValue("no node can register with this source; it only lists them")
        if self._process != os.getpid():
            raise StoreError("this process was forked; open a membership here to register nodes")
        registration = self._registrar.register(member, seconds)
        self._registrar.start()
        return registration

    def refresh(self) -> None:
        """Read the source now, and publish what is due; an error is kept in `error`.

        The watching thread does so by itself. Called by an `on_change` callback, after `close` or in a forked child,
        it does nothing.
        """
        if self._process == os.getpid():
            self._follower.refresh()

    def close(self) -> None:
        """Take out the registrations, stop the threads and close the source. Twice is harmless.

        The ring stays as it is. In a forked child only iterators end; the rest is the parent's.

        Raises:
            StoreError: a registration could not be taken out, and its ttl will end it; all else is closed all the same.
        """
        self.board.close()
        if self._process != os.getpid():
            return
        try:
            if self._registrar is not None:
                self._registrar.close()
        finally:
            self._stop()

    def _watch(self) -> None:
        while not self._closing.is_set():
            self._wait()
            if not self._closing.wait(_GATHERING):
                self.refresh()

    def _wait(self) -> None:
        try:
            self._source.wait(self._follower.patience())
        except Exception:  # the next reading fails likewise, and says why
            self._closing.wait(self._poll)

    def _stop(self) -> None:
        self._closing.set()
        self._source.wake()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join()
        self._follower.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.board.closed else f"{self.age:.1f} s old"
        return f"<Membership of {len(self.ring.nodes)} nodes, epoch={self.epoch}, {state}>"
