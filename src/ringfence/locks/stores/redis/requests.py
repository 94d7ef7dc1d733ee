"""What a lock store asks of Redis, and what the answers say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from ringfence.locks import rules
from ringfence.locks.stores import Claim, Holder, Status
from ringfence.locks.stores.redis import wire
from ringfence.locks.stores.redis.scripts import GRANT, RELEASE, RENEW, STATUS, WITHDRAW
from ringfence.protocol import Call, Effects

_BATCH = 500
_MARGIN = 0.01
_MICRO = 1_000_000
_YEAR_2020 = 1_577_836_800


def grant(name: str, owner: str, ttl: float, fences: int, channel: str = "") -> bytes:
    """Ask for a lock, and with a channel for a place in its queue."""
    return _grant(name, ttl, fences, channel, rules.PLACE) + wire.bulk(owner)


@lru_cache(maxsize=8192)
def _grant(name: str, ttl: float, fences: int, channel: str, place: float) -> bytes:
    kept = (_micros(place), channel) if channel else ("", "")
    return wire.call(GRANT, name, _micros(ttl), str(fences), *kept)


def fence(answer: int) -> int | None:
    """Return the fence of a grant; None when there was none."""
    return answer if answer > 0 else None


def patience(answer: int) -> float:
    """Return how long to wait for a push before asking again: as long as the holder's lease lasts."""
    return _MARGIN - answer / _MICRO


def renewals(claims: Sequence[Claim]) -> Iterator[list[bytes]]:
    """Ask to extend leases, so many at once."""
    for at in range(0, len(claims), _BATCH):
        yield [renew(claim) for claim in claims[at : at + _BATCH]]


def renew(claim: Claim) -> bytes:
    """Ask to extend a lease."""
    start = wire.call(RENEW, claim.name, _micros(claim.ttl), more=2)
    return start + wire.bulk(str(claim.fence)) + wire.bulk(claim.owner)


def release(name: str, owner: str, fence: int) -> bytes:
    """Ask to free a lock, for the first who waits."""
    return wire.call(RELEASE, name, more=2) + wire.bulk(str(fence)) + wire.bulk(owner)


def withdraw(name: str, owner: str) -> bytes:
    """Ask to forget an owner."""
    return wire.call(WITHDRAW, name) + wire.bulk(owner)


def status(name: str) -> bytes:
    """Ask who holds a lock, and who waits for it."""
    return wire.call(STATUS, name, more=0)


def told(name: str, answer: Sequence[Any]) -> Status:
    """Return who holds a lock, and who waits for it, from the answer."""
    time, value, waiting = answer
    found = holder(name, value, time)
    return Status((found,) if found else (), tuple(owner.decode() for owner in waiting))


def holder(name: str, value: bytes | None, time: Sequence[Any]) -> Holder | None:
    """Return who holds a lock, from its lease and the server's time."""
    if value is None:
        return None
    till, fence, _, owner = value.decode().split(" ", 3)
    micros = (int(time[0]) - _YEAR_2020) * _MICRO + int(time[1])
    remaining = (int(till) - micros) / _MICRO
    return Holder(name, owner, int(fence), remaining) if remaining > 0 else None


def leases(connection: object) -> Effects[list[Holder]]:
    """Find all locks that are held, by name, in steps in which the server serves others."""
    found: dict[str, Holder] = {}
    cursor = "0"
    while True:
        words = ("SCAN", cursor, "MATCH", wire.lease_key("*"), "COUNT", "1000")
        cursor, keys = yield from _asked(connection, words)
        names = [wire.untag(key.decode()) for key in keys]
        asked = [wire.command("GET", wire.lease_key(name)) for name in names]  # MGET is of one slot alone
        *values, time = yield Call(connection, "ask_all", ([*asked, wire.command("TIME")],))
        held = (
            holder(name, value, time) for name, value in zip(names, map(wire.checked, values), strict=True)
        )
        found.update((each.name, each) for each in held if each is not None)
        cursor = cursor.decode()
        if cursor == "0":
            return sorted(found.values())


def _asked(connection: object, words: tuple[str, ...]) -> Effects[Any]:
    return wire.checked((yield Call(connection, "ask", (wire.command(*words),))))


def _micros(seconds: float) -> str:
    return str(int(seconds * _MICRO))
