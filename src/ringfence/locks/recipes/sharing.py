"""What recipes need that several hold at once: shares of one lock in a store that carries such."""

from __future__ import annotations

from ringfence.errors import InvalidType, InvalidValue
from ringfence.locks.arguments import check_name
from ringfence.locks.stores import LockStore, Shared

MOST = 2**20
"""How many shares a lock may have."""

CARRIERS = ("memory", "sqlite", "redis", "zookeeper", "etcd", "postgresql", "mariadb")
"""Where several may hold a lock at once, as URLs begin."""


def share(store: LockStore, recipe: str, name: str, asked: int, of: int) -> Shared:
    """Return the name of a share of a lock.

    Raises:
        InvalidType: the name is not a string.
        InvalidValue: it is out of bounds, or the store does not carry shared locks.
    """
    if not store.shared:
        raise InvalidValue(
            f"this store carries no {recipe}, as a lock of it has one holder at a time; stores that do have URLs "
            f"that begin with {', '.join(CARRIERS)}"
        )
    return Shared(check_name(name), asked, of)


def check_permits(permits: object) -> int:
    """Return how many may hold a semaphore at once, from 1 to about a million.

    Raises:
        InvalidType: it is not an integer.
        InvalidValue: it is out of bounds.
    """
    if isinstance(permits, bool) or not isinstance(permits, int):
        raise InvalidType(f"permits is an int, not {permits!r}")
    if not 1 <= permits <= MOST:
        raise InvalidValue(f"a semaphore has from 1 to {MOST} permits, not {permits}")
    return permits
