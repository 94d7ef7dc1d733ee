"""What a lock store asks of Redis, and what the answers say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder, Shared, Status
from ringfence.locks.stores.redis import shared_requests, shared_scripts, wire
from ringfence.locks.stores.redis.scripts import FIELDS, GRANT, RELEASE, RENEW, SETTLE, STATUS, WITHDRAW
from ringfence.protocol import Call, Effects

_BATCH = 500
_MARGIN = 0.01
_MICRO = 1_000_000
_YEAR_2020 = 1_577_836_800


def grant(name: str, owner: str, ttl: float, fences: int, channel: str = "") -> bytes:
    """Ask for a lock, and with a channel for a place in its queue."""
    if isinstance(name, Shared):
        return shared_requests.grant(name, owner, ttl, fences, channel)
    return _grant(name, ttl, fences, channel, rules.PLACE) + wire.bulk(owner)


@lru_cache(maxsize=8192)
def _grant(name: str, ttl: float, fences: int, channel: str, place: float) -> bytes:
    kept = (wire.micros(place), channel) if channel else ("", "")
    return wire.call(GRANT, name, wire.micros(ttl), str(fences), *kept)


def patience(answer: int) -> float:
    """Return how long to wait for a push before asking again: as long as the holder's lease lasts."""
    return _MARGIN - answer / _MICRO


def renewals(claims: Sequence[Claim]) -> Iterator[list[bytes]]:
    """Ask to extend leases, so many at once."""
    for at in range(0, len(claims), _BATCH):
        yield [renew(claim) for claim in claims[at : at + _BATCH]]


def renew(claim: Claim) -> bytes:
    """Ask to extend a lease."""
    script = shared_scripts.RENEW if isinstance(claim.name, Shared) else RENEW
    start = wire.call(script, claim.name, wire.micros(claim.ttl), more=2)
    return start + wire.identity(claim.fence, claim.owner)


def release(name: str, owner: str, fence: int) -> bytes:
    """Ask to free a lock, for the first who waits."""
    shared = isinstance(name, Shared)
    start = wire.call(shared_scripts.RELEASE, name, more=2) if shared else _release(name)
    return start + wire.identity(fence, owner)


@lru_cache(maxsize=8192)
def _release(name: str) -> bytes:
    return wire.call(RELEASE, name, more=2)


def withdraw(name: str, owner: str) -> bytes:
    """Ask to forget an owner."""
    script = shared_scripts.WITHDRAW if isinstance(name, Shared) else WITHDRAW
    return wire.call(script, name) + wire.bulk(owner)


def settle(name: str, owner: str, fence: int) -> bytes:
    """Ask to keep a greater fence with a lease."""
    return wire.call(SETTLE, name, str(fence)) + wire.bulk(owner)


def status(name: str) -> bytes:
    """Ask who holds a lock, and who waits for it."""
    return wire.call(shared_scripts.STATUS if isinstance(name, Shared) else STATUS, name, more=0)


def told(name: str, answer: Sequence[Any]) -> Status:
    """Return who holds a lock, and who waits for it, from the answer."""
    time, value, waiting = answer
    found = holders(name, value, time)
    return Status(tuple(found), tuple(owner.decode() for owner in waiting))


def holders(name: str, value: Any, time: Sequence[Any]) -> list[Holder]:
    """Return who holds a lock, from its lease and the server's time."""
    now = (int(time[0]) - _YEAR_2020) * _MICRO + int(time[1])
    if isinstance(value, list):
        return shared_requests.holders(name, value, now)
    if value is None:
        return []
    till, fence, _, _ = FIELDS.unpack_from(value)
    remaining = (till - now) / _MICRO
    return [Holder(name, value[FIELDS.size :].decode(), int(fence), remaining)] if remaining > 0 else []


def leases(connection: object) -> Effects[list[Holder]]:
    """Find all leases there are, by name and then by fence, in steps in which the server serves others."""
    found: dict[tuple[str, str], Holder] = {}
    cursor = "0"
    while True:
        words = ("SCAN", cursor, "MATCH", wire.key("*", "*lease"), "COUNT", "1000")
        cursor, keys = yield from _asked(connection, words)
        asked = [_lease(key.decode()) for key in keys]  # one by one, for MGET is of one slot alone
        *values, time = yield Call(connection, "ask_all", ([*asked, wire.command("TIME")],))
        for key, value in zip(keys, values, strict=True):
            found.update(_named(holders(wire.untag(key.decode()), wire.checked(value), time)))
        cursor = cursor.decode()
        if cursor == "0":
            return sorted(found.values(), key=lambda one: (one.name, one.fence))


def _lease(key: str) -> bytes:
    return wire.command("HGETALL" if key.endswith(shared_scripts.LEASE) else "GET", key)


def _named(held: list[Holder]) -> dict[tuple[str, str], Holder]:
    """Return holders by what they are found by once: SCAN may show a key twice."""
    return {(one.name, one.owner): one for one in held}


def _asked(connection: object, words: tuple[str, ...]) -> Effects[Any]:
    return wire.checked((yield Call(connection, "ask", (wire.command(*words),))))
