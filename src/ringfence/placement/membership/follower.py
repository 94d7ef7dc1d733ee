"""From readings of a source to published rings; without a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from ringfence.errors import StoreError
from ringfence.placement.membership.changes import Board
from ringfence.placement.membership.debounce import Debounce
from ringfence.placement.membership.phi import Heartbeats
from ringfence.placement.membership.sources import Member, Source
from ringfence.placement.node import Node
from ringfence.placement.protocol import Placement


class Follower:
    """Reads a source, and publishes the changes that have stood long enough.

    Args:
        source: where the nodes are listed.
        board: where rings are published.
        debounce: makes a `Debounce` that begins with some nodes.
        poll: seconds after which the source shall be read again in any case.
        allow_empty: whether a source that lists no nodes any more is believed.
        clock: seconds.

    Attributes:
        error: why the last reading was not taken, or None.
        read_at: when one was taken last.
        suspicions: the phi of each node at that time.
    """

    def __init__(
        self,
        source: Source,
        board: Board,
        debounce: Callable[[Mapping[str, Node]], Debounce],
        poll: float,
        allow_empty: bool,
        clock: Callable[[], float],
    ) -> None:
        self.error: Exception | None = None
        self.read_at = clock()
        self.suspicions: dict[str, float] = {}
        self._source, self._board, self._clock = source, board, clock
        self._poll, self._allow_empty = poll, allow_empty
        self._make_debounce = debounce
        self._debounce = debounce(nodes_of(board.ring))
        self._heartbeats = Heartbeats(poll / 2)  # readings tell no better when a heartbeat came
        self._lock = threading.RLock()
        self._refreshing = False

    def begin(self) -> None:
        """Take the first reading as it is, at once.

        Raises:
            StoreError: there is none, and no ring to go on with.
            InvalidValue: what is listed are no nodes.
        """
        try:
            members = self._listed()
        except StoreError as error:
            if not self._board.ring.nodes:
                raise
            self.error = error
            return
        nodes = _by_name(members)
        self._board.ring = changed(self._board.ring, nodes)
        self._debounce = self._make_debounce(nodes)
        self.suspicions = self._heartbeats.observe(members, self.read_at)

    def refresh(self) -> None:
        """Read the source, and publish what is due.

        It does nothing when called by a listener of the board, or when that is closed.
        """
        with self._lock:
            if not self._refreshing and not self._board.closed:
                self._refreshing = True
                try:
                    self._refresh()
                finally:
                    self._refreshing = False

    def close(self) -> None:
        """Close the source once nobody reads it."""
        with self._lock:
            self._source.close()

    def patience(self) -> float:
        """Return the seconds until the source shall be read again."""
        seconds = self._debounce.next_due() - self._clock()
        return min(seconds, self._poll) if seconds > 0 else self._poll

    def _refresh(self) -> None:
        try:
            self._take(self._listed(), self._clock())
        except Exception as error:
            self._heartbeats.interrupt()
            self.error = error

    def _listed(self) -> list[Member]:
        members = self._source.read()
        if not members and self._board.ring.nodes and not self._allow_empty:
            raise StoreError("the source lists no nodes any more; the last ring stays (allow_empty=False)")
        return members

    def _take(self, members: list[Member], now: float) -> None:
        self.suspicions = self._heartbeats.observe(members, now)
        self._debounce.observe(_by_name(members), now)
        self.read_at, self.error = now, None
        nodes = self._debounce.due(now)
        if nodes is not None:
            ring = changed(self._board.ring, nodes)
            self._debounce.publish(nodes, now)
            self._board.publish(ring)


def changed(ring: Placement, nodes: Mapping[str, Node]) -> Placement:
    """Return `ring` with exactly these nodes; its epoch grows by one for each that comes or leaves.

    A node whose weight or zone changed leaves and comes again.
    """
    for name in ring.nodes:
        if nodes.get(name) != ring.node(name):
            ring = ring.without_node(name)
    for name in sorted(nodes.keys() - set(ring.nodes)):
        ring = ring.with_node(nodes[name])
    return ring


def nodes_of(ring: Placement) -> dict[str, Node]:
    """Return the nodes of a ring by name."""
    return {name: ring.node(name) for name in ring.nodes}


def _by_name(members: Iterable[Member]) -> dict[str, Node]:
    return {member.node.name: member.node for member in members}
