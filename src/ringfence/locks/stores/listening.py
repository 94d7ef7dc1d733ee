"""Waiting in a store of this machine: whoever frees the lock in this process wakes the next at once."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ringfence.locks.stores import Push
from ringfence.locks.waiter import ThreadWaiter, Waiter
from ringfence.protocol import Call, Effects, Now, run


class Listening(ABC):
    """A lock store whose waiters are woken by the thread or task that grants them the lock."""

    @abstractmethod
    def look(self, name: str, owner: str, waiter: Waiter) -> Push | float:
        """Have `waiter` woken when the lock is granted to `owner`, who is in the queue.

        Returns:
            The grant, if it was made already; else the seconds until it is time to look again, 0 for `grant`.
        """

    def wait(self, name: str, owner: str, seconds: float) -> Push | None:
        """Wait for a grant to `owner`, who has a place in the queue; `seconds` at most."""
        return run(waiting(self, name, owner, seconds, ThreadWaiter()))


def waiting(store: object, name: str, owner: str, seconds: float, waiter: Waiter) -> Effects[Push | None]:
    """Wait in the queue of a listening store, or of what stands for one beside an event loop."""
    until = (yield Now()) + seconds
    while True:
        seen = yield Call(store, "look", (name, owner, waiter))
        if isinstance(seen, Push):
            return seen
        left = min(seen, until - (yield Now()))
        if left <= 0:
            return None
        yield Call(waiter, "wait", (left,))
