"""What both faces of the store share about connecting: where to, when again, and what a failure means."""

from __future__ import annotations

from ringfence import _redis
from ringfence.errors import StoreError, StoreTimeout
from ringfence.protocol import now


class Target:
    """A server, and how connecting to it went.

    Args:
        url: as redis-py takes it.
    """

    def __init__(self, url: str) -> None:
        self.place = _redis.where(url)
        self.closed = False
        self._reached = False
        self._failures = 0
        self._not_before = 0.0

    def check(self) -> None:
        """Return if it is time to connect: after failures it is 20 ms later, doubling up to a second.

        Raises:
            StoreTimeout: it is too early.
            StoreError: the store was closed.
        """
        if self.closed:
            raise StoreError(f"the lock store on {self.place} was closed; open a new one")
        if now() < self._not_before:
            raise StoreTimeout(f"{self.place} could not be reached just now; try again")

    def failed(self, error: StoreError) -> StoreError:
        """Take note of a failure and return what it means: a server that was reached once may come back."""
        self._not_before = now() + min(0.02 * 2.0 ** min(self._failures, 6), 1.0)
        self._failures += 1
        return StoreTimeout(f"{error}; nothing was sent") if self._reached else error

    def connected(self) -> None:
        """Take note of a success."""
        self._reached, self._failures, self._not_before = True, 0, 0.0
