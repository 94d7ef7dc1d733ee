"""A lock that some may hold at once: each holder has one permit, which is a share of the lock in the store."""

from __future__ import annotations

from ringfence.locks.recipes.sharing import check_permits, share
from ringfence.locks.stores import LockStore, Shared


def permit(store: LockStore, name: str, permits: int) -> Shared:
    """Return the name of one permit of a semaphore.

    Raises:
        InvalidType: an argument has the wrong type.
        InvalidValue: an argument is out of bounds, or the store does not carry semaphores.
    """
    return share(store, "semaphore", name, 1, check_permits(permits))
