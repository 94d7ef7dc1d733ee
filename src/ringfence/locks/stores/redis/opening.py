"""What both faces of the store share about connecting: where to, when again, and what a failure means."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence import _redis
from ringfence.errors import InvalidValue, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks.stores.redis.wire import command
from ringfence.protocol import now


class Target:
    """A server, and how connecting to it went.

    Args:
        url: as redis-py takes it.

    Raises:
        InvalidValue: it asks for RESP2, in which a connection that hears pushes can ask for nothing.
    """

    def __init__(self, url: str) -> None:
        if _redis.option(url, "protocol")[1] not in (None, "3"):
            raise InvalidValue(
                "locks need RESP3, which Redis and Valkey speak from version 6 on; leave protocol= out"
            )
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


class Replicas:
    """How many replicas must have a grant or a renewal before it counts; none unless the URL says so.

    Args:
        url: as redis-py takes it, and with `wait_replicas=n` at will.
        timeout: seconds to wait for an answer; the replicas have a quarter of it.

    Attributes:
        url: what redis-py is given.
        requests: asks the server to wait for them, if that is wanted; it is answered how many have what this
            connection wrote.

    Raises:
        InvalidValue: `wait_replicas` is no number of replicas.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url, said = _redis.option(url, "wait_replicas")
        if said is not None and not (said.isascii() and said.isdigit()):
            raise InvalidValue(f"wait_replicas={said!r} is no number of replicas")
        self._wanted = int(said or 0)
        wait = command("WAIT", str(self._wanted), str(max(int(timeout * 250), 1)))
        self.requests = [wait] if self._wanted else []

    def missing(self, name: str, acknowledged: int) -> StoreTimeout | None:
        """Return what to raise about a grant that too few replicas have, once it was withdrawn."""
        if acknowledged >= self._wanted:
            return None
        return StoreTimeout(
            f"{acknowledged} of {self._wanted} replicas have the grant of {name!r}; withdrawn"
        )

    def check(self, acknowledged: Sequence[int]) -> None:
        """Raise `OutcomeUnknown` if too few replicas have a renewal."""
        for count in acknowledged:
            if count < self._wanted:
                raise OutcomeUnknown(f"{count} of {self._wanted} replicas have the renewals; ask again")
