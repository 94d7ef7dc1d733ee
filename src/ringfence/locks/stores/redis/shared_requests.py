"""What a lock store asks of Redis about locks that several hold at once, where it differs from plain ones."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.locks import rules
from ringfence.locks.stores import Holder, Shared
from ringfence.locks.stores.redis import wire
from ringfence.locks.stores.redis.shared_scripts import GRANT


def grant(name: Shared, owner: str, ttl: float, fences: int, channel: str) -> bytes:
    """Ask for shares of a lock, and with a channel for a place in its queue."""
    wanted = (wire.micros(ttl), str(fences), str(name.asked), str(name.of))
    kept = (wire.micros(rules.PLACE), channel) if channel else ("", "")
    return wire.call(GRANT, name, *wanted, *kept) + wire.bulk(owner)


def holders(name: str, fields: Sequence[bytes], now: int) -> list[Holder]:
    """Return who holds shares of a lock, by fence, from the fields of its leases and the server's time."""
    found = []
    for owner, value in zip(fields[::2], fields[1::2], strict=True):
        if owner:
            till, fence, asked, of = map(int, value.split(b" "))
            found.append(Holder(Shared(name, asked, of), owner.decode(), fence, (till - now) / 1e6))
    return sorted((one for one in found if one.remaining > 0), key=lambda one: one.fence)
