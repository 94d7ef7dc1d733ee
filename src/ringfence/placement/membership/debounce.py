"""When a change is worth publishing: after it has stood for a while, and together with others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ringfence.placement.node import Node


@dataclass(slots=True)
class _Seen:
    node: Node | None  # None: it is not listed
    since: float
    departures: int = 0


class Debounce:
    """Holds back changes of the membership until they have stood for `window` seconds.

    - A node that leaves and returns within the window changes nothing.
    - There is at most one publication every `window` seconds, so joins and leaves come in batches.
    - Each time a node goes away, the time it must stand before it is taken in again doubles, from the window at the
      first time up to `hold` seconds. One that has neither come nor gone for `hold` seconds has a clean sheet.
    - Nothing is published that would leave no node, unless `allow_empty`.

    Time is an input, in seconds; it never goes back.

    Args:
        nodes: what is published at the start, by name.
        window: seconds; 0 publishes at once.
        hold: the longest time a flapping node is held out, in seconds.
        allow_empty: whether there may be no node left.
    """

    def __init__(
        self, nodes: Mapping[str, Node], window: float, hold: float, allow_empty: bool = False
    ) -> None:
        self.published = dict(nodes)
        self._window = window
        self._hold = max(hold, window)
        self._allow_empty = allow_empty
        self._last = -math.inf  # when something was published
        self._seen = {name: _Seen(node, -math.inf) for name, node in nodes.items()}

    def observe(self, nodes: Mapping[str, Node], now: float) -> None:
        """Take note of the nodes that are listed now."""
        for name in nodes.keys() | self._seen.keys():
            self._observe(name, nodes.get(name), now)

    def due(self, now: float) -> dict[str, Node] | None:
        """Return the nodes that shall be published now, or None if nothing shall be."""
        if now < self._last + self._window:
            return None
        ready = [name for name in self._pending() if self._ready_at(name) <= now]
        target = dict(self.published)
        for name in ready:
            node = self._seen[name].node
            if node is None:
                del target[name]
            else:
                target[name] = node
        return target if ready and (target or self._allow_empty) else None

    def publish(self, nodes: Mapping[str, Node], now: float) -> None:
        """Take note that these nodes are published now."""
        self.published = dict(nodes)
        self._last = now

    def next_due(self) -> float:
        """Return when something may be due, if nothing else happens; infinity for never."""
        return max(min(map(self._ready_at, self._pending()), default=math.inf), self._last + self._window)

    def _observe(self, name: str, node: Node | None, now: float) -> None:
        seen = self._seen.setdefault(name, _Seen(None, now))
        calm = now - seen.since >= self._hold
        if node != seen.node:
            left = node is None
            self._seen[name] = _Seen(node, now, (0 if calm else seen.departures) + left)
        elif node is None and calm and name not in self.published:
            del self._seen[name]

    def _pending(self) -> list[str]:
        return [name for name, seen in self._seen.items() if seen.node != self.published.get(name)]

    def _ready_at(self, name: str) -> float:
        seen = self._seen[name]
        joins = seen.node is not None and name not in self.published
        doublings = max(seen.departures - 1, 0) if joins else 0
        return seen.since + min(self._window * 2.0 ** min(doublings, 1000), self._hold)
