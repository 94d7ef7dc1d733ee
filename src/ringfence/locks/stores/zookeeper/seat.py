"""What a store knows of its own nodes, and which of them wait for which others."""

from __future__ import annotations

from dataclasses import dataclass, field

from ringfence.locks.waiter import Waiter


@dataclass(slots=True, eq=False)
class Seat:
    """An owner's place in the line of a lock, held or waited in.

    Attributes:
        folder: of the lock.
        owner: the id of one acquisition.
        prefix: the path of its node without the number.
        ttl: seconds for which it asked last.
        made: whether its node was asked for: without a path, the reply was lost.
        path: of its node.
        fence: of its node.
        held: whether it was told that it holds the lock.
        called: whether it is time to ask again.
        waiter: what to wake then.
        watching: the paths whose going calls it.
    """

    folder: str
    owner: str
    prefix: str
    ttl: float
    made: bool = False
    path: str = ""
    fence: int = 0
    held: bool = False
    called: bool = False
    waiter: Waiter | None = None
    watching: set[str] = field(default_factory=set)

    def call(self) -> None:
        """Let its owner ask again."""
        self.called = True
        if self.waiter is not None:
            self.waiter.wake()


class Watches:
    """Which seats wait for which nodes to go; a lock of the store guards it."""

    def __init__(self) -> None:
        self._seats: dict[str, set[Seat]] = {}

    def add(self, path: str, seat: Seat) -> bool:
        """Let a seat wait for a node; say whether ZooKeeper has to be asked to watch it."""
        unwatched = path not in self._seats
        self._seats.setdefault(path, set()).add(seat)
        seat.watching.add(path)
        return unwatched

    def pop(self, path: str) -> set[Seat]:
        """Return the seats that waited for a node which is gone, or no longer watched."""
        seats = self._seats.pop(path, set())
        for seat in seats:
            seat.watching.discard(path)
        return seats

    def leave(self, seat: Seat) -> None:
        """Let a seat wait for nothing any more; what ZooKeeper watches it goes on watching."""
        for path in seat.watching:
            self._seats[path].discard(seat)
        seat.watching.clear()
