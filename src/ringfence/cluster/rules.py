"""The rules that keep a cluster right, one small function each.

Protocols and shards call them by this module's name, so that a test can switch one off in one place and show what
it prevents.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ringfence.errors import FenceRejected, InDoubt, StaleRing, StoreDamaged


def check_epoch(shard: str, held: int, current: int) -> None:
    """Refuse an operation whose caller goes by another ring than the shard.

    Args:
        shard: its name.
        held: the epoch of the caller's ring.
        current: the epoch of the shard's ring.

    Raises:
        StaleRing: the caller's ring is the older one.
        StoreDamaged: the shard's is; it was put back from a copy made before the ring changed.
    """
    if held < current:
        raise StaleRing(shard, held, current)
    if held > current:
        raise StoreDamaged(
            f"shard {shard!r} is at ring epoch {current}, the cluster at {held}: "
            f"it is an old copy of itself; put the newest one back"
        )


def check_settled(shard: str, pending: str | None) -> None:
    """Let nobody past a prepared transaction: what it will leave behind is not known yet.

    Raises:
        InDoubt: transaction `pending` is prepared on this shard.
    """
    if pending is not None:
        raise InDoubt(pending, f"it is prepared on shard {shard!r}, where others wait for its outcome")


def check_fence(shard: str, fence: int, mark: int) -> None:
    """Refuse a rebalancer after another one with a newer lease has written the shard's state.

    Raises:
        FenceRejected: this rebalancer's lease is stale.
    """
    if fence < mark:
        raise FenceRejected(f"the ring of shard {shard}", fence, mark)


def lookup_order(source: str, target: str) -> tuple[str, ...]:
    """Where to look for a key: on its old owner before its new one, for that is how keys move."""
    return (source,) if source == target else (source, target)


def joining_order(names: set[str]) -> list[str]:
    """In which order shards are locked: the same for everyone, so that nobody waits in a circle."""
    return sorted(names)


def pauses(random: Random) -> Iterator[float]:
    """Seconds to wait between tries: from 1 ms up to 10 ms, less up to a half, so that waiters do not ask in step."""
    longest = 0.001
    while True:
        yield longest * random.uniform(0.5, 1.0)
        longest = min(longest * 1.5, 0.010)
