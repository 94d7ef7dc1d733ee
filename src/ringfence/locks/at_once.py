"""What mostly happens, without a generator: a thread asks once, and the answer is what it hoped for.

A lock that is free is granted by the first request, and a release is answered. Whatever else comes of a request, be it
an error or an interrupt, is handed to the protocol in `ringfence.locks.acquire` as what came of its first effects, and
the protocol goes on from there. So there is one place for all that can go wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringfence.locks import acquire as protocol
from ringfence.locks.acquire import Granted
from ringfence.locks.stores import Claim, LockStore
from ringfence.protocol import now, run


def take(
    store: LockStore, name: str, owner: str, ttl: float, timeout: float | None, check: Callable[[], object]
) -> Granted | None:
    """Take a lock; see `ringfence.locks.acquire.acquire`."""
    asked = ask(store, name, owner, ttl, timeout != 0)
    if isinstance(asked, Granted):
        return asked
    return run(protocol.acquire(store, name, owner, ttl, timeout, check=check), asked)


def ask(
    store: LockStore, name: str, owner: str, ttl: float, queue: bool, fences: int = 1
) -> Granted | list[Any]:
    """Ask for a lock once.

    Returns:
        What was granted; or when it was asked for, and what came of it, for the protocol.
    """
    sent = now()
    try:
        fence = store.grant(name, owner, ttl, queue, fences)
        if fence is None:
            return [sent, None]
        return protocol.answered(name, owner, ttl, fence, sent, now()) or [sent, fence]
    except BaseException as error:  # the protocol raises it again when it has cleaned up
        return [sent, error]


def give_back(store: LockStore, claim: Claim, deadline: float) -> bool:
    """Give a lock back, and say whether it was still held; see `ringfence.locks.acquire.release`."""
    sent = now()
    held: Any
    try:
        held = store.release(claim.name, claim.owner, claim.fence)
    except BaseException as error:
        held = error
    return True if held is True else run(protocol.release(store, claim, deadline), [sent, held])
