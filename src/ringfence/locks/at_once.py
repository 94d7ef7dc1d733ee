"""What mostly happens, without a generator: a thread asks once, and waits once if it has to.

A lock that is free is granted by the first request, one that is held by a push, and a release is answered. Whatever
else comes of a request, be it an error or an interrupt, is handed to the protocol in `ringfence.locks.acquire` as what
came of its first effects, and the protocol goes on from there. So there is one place for all that can go wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringfence.locks import acquire as protocol
from ringfence.locks import rules
from ringfence.locks.acquire import Granted
from ringfence.locks.stores import Claim, LockStore
from ringfence.protocol import now, run


def take(
    store: LockStore, name: str, owner: str, ttl: float, timeout: float | None, check: Callable[[], object]
) -> Granted | None:
    """Take a lock; see `ringfence.locks.acquire.acquire`."""
    asked = ask_and_wait(store, name, owner, ttl, timeout)
    if isinstance(asked, Granted):
        return asked
    return run(protocol.acquire(store, name, owner, ttl, timeout, check=check), asked)


def ask_and_wait(
    store: LockStore, name: str, owner: str, ttl: float, timeout: float | None, fences: int = 1
) -> Granted | list[Any]:
    """Ask for a lock once, and wait once if another holds it.

    Returns:
        What was granted; or when it was asked for, and what came of this and that, for the protocol.
    """
    came: list[Any] = []
    try:
        came.append(now())
        came.append(store.grant(name, owner, ttl, timeout != 0, fences))
        if came[1] is None:
            return _wait(store, name, owner, ttl, timeout, came)
        return protocol.answered(name, owner, ttl, came[1], came[0], now()) or came
    except BaseException as error:  # the protocol raises it again when it has cleaned up
        return [*came, error]


def _wait(
    store: LockStore, name: str, owner: str, ttl: float, timeout: float | None, came: list[Any]
) -> Granted | list[Any]:
    sent, moment = came[0], now()
    came.append(moment)
    left = rules.ASK_AGAIN if timeout is None else min(sent + timeout - moment, rules.ASK_AGAIN)
    if left <= 0:
        return came
    push = store.wait(name, owner, left)
    came.append(push)
    return came if push is None else protocol.pushed(name, owner, ttl, push, sent, now()) or came


def give_back(store: LockStore, claim: Claim, deadline: float) -> bool:
    """Give a lock back, and say whether it was still held; see `ringfence.locks.acquire.release`."""
    sent = now()
    held: Any
    try:
        held = store.release(claim.name, claim.owner, claim.fence)
    except BaseException as error:
        held = error
    return True if held is True else run(protocol.release(store, claim, deadline), [sent, held])
