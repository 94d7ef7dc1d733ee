"""Nodes that the program itself lists."""

from __future__ import annotations

import threading

from ringfence.placement.arguments import Nodes, sorted_nodes
from ringfence.placement.membership.sources import Member


class EventSource:
    """Base of the sources that wait for an event of this process."""

    def __init__(self) -> None:
        self._changed = threading.Event()

    def wait(self, seconds: float) -> None:
        """Return when the nodes may have changed, or after `seconds`."""
        self._changed.wait(seconds)
        self._changed.clear()

    def wake(self) -> None:
        """End the wait under way, or the next one."""
        self._changed.set()

    def close(self) -> None:
        """Do nothing: nothing is open."""


class StaticSource(EventSource):
    """A list of nodes, which the program may replace.

    Args:
        nodes: names, `Node`s, or a mapping of names to weights.

    Raises:
        InvalidType: an argument of another type.
        InvalidValue: two nodes of one name.
    """

    def __init__(self, nodes: Nodes) -> None:
        super().__init__()
        self.replace(nodes)

    def replace(self, nodes: Nodes) -> None:
        """List these nodes from now on; raises what the constructor does, and then changes nothing."""
        self._members = [Member(node) for node in sorted_nodes(nodes)]
        self.wake()

    def read(self) -> list[Member]:
        """Return the nodes."""
        return self._members
