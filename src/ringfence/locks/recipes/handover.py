"""Handing a lease to another thread, task or process: a token says which lease, and a baton who may have it.

The baton is a lock of its own in the same store, which the giver takes under an owner id that only the token tells.
Whoever adopts the token releases the baton first. A store answers a release with yes once, so at most one adopter goes
on, and renews the lease. An adopter that cannot know whether it was the one (its answer was lost, and the next one is
no) takes it that it was not: the lease may be nobody's then, and ends with its ttl. It is never two adopters'.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from ringfence._core.leases import check_fence, new_owner
from ringfence.errors import InvalidType, InvalidValue, LeaseLost
from ringfence.locks import rules
from ringfence.locks.acquire import Granted, until_answered, withdraw
from ringfence.locks.arguments import SHORTEST, check_name, check_ttl
from ringfence.locks.recipes.outliving import check_outliving
from ringfence.locks.session import Session
from ringfence.locks.stores import Claim, LockStore, Shared
from ringfence.protocol import Call, Effects, Now

L = TypeVar("L")

_PREFIX = "rf1."


class Token(NamedTuple):
    """What a token says.

    Attributes:
        claim: the lease.
        renew: whether whoever holds it renews it.
        baton: the name of the baton, and the id of its owner.
        mark: the fence of the baton.
    """

    claim: Claim
    renew: bool
    baton: str
    mark: int


def offer(store: LockStore, claim: Claim, renew: bool, remaining: float) -> Effects[Token]:
    """Take a baton for a lease that is to be handed over; it lasts as long as the lease does now.

    Raises:
        InvalidValue: the leases of the store end with the session of their process.
        StoreError: the store failed or did not answer; the lease is as it was.
    """
    check_outliving(store, "handing over")
    baton = new_owner()
    try:
        call = Call(store, "grant", (baton, baton, max(remaining, claim.ttl, SHORTEST)))
        mark, _ = yield from until_answered(call, math.inf)
    except GeneratorExit:
        raise
    except BaseException:
        yield from withdraw(store, baton, baton)
        raise
    assert isinstance(mark, int), "nobody else can know the baton"
    return Token(claim, renew, baton, mark)


def take_back(store: LockStore, token: Token) -> Effects[None]:
    """Let nobody adopt a token that was not handed over after all."""
    yield from withdraw(store, token.baton, token.baton)


def adopting(session: Session, text: object, make: Callable[[Session, Granted, bool], L]) -> Effects[L]:
    """Become the one who holds what a token says, and keep it."""
    token = read(text)
    check_outliving(session.store, "handing over")
    session.check_open()
    granted = yield from _adopt(session.store, token)
    try:
        return make(session, granted, token.renew)
    except BaseException:
        yield from withdraw(session.store, token.claim.name, token.claim.owner)
        raise


def _adopt(store: LockStore, token: Token) -> Effects[Granted]:
    claim = token.claim
    call = Call(store, "release", (token.baton, token.baton, token.mark))
    mine, _ = yield from until_answered(call, math.inf)
    granted = (yield from _renew(store, claim)) if mine else None
    if granted is None:
        raise LeaseLost(claim.name, claim.fence + claim.handed)
    return granted


def _renew(store: LockStore, claim: Claim) -> Effects[Granted | None]:
    """Renew a lease that is this adopter's alone, or give it back."""
    try:
        sent = yield Now()
        answer, _ = yield from until_answered(Call(store, "renew", ([claim],)), math.inf)
        answered = yield Now()
    except GeneratorExit:
        raise
    except BaseException:
        yield from withdraw(store, claim.name, claim.owner)
        raise
    deadline = rules.deadline(sent, answered, claim.ttl)
    return Granted(claim, deadline) if answer == [True] and not rules.is_over(deadline, answered) else None


def written(token: Token) -> str:
    """Return a token as text: letters, digits, `.`, `-` and `_`."""
    claim = token.claim
    name = [claim.name, claim.name.asked, claim.name.of] if isinstance(claim.name, Shared) else [claim.name]
    said = [name, *claim[1:], token.renew, token.baton, token.mark]
    return encoded(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode())


def encoded(data: bytes) -> str:
    """Return what a token says as text, so that damage is seen."""
    checked = data + zlib.crc32(data).to_bytes(4)
    return _PREFIX + base64.urlsafe_b64encode(checked).decode().rstrip("=")


def read(text: object) -> Token:
    """Return what a token says.

    Raises:
        InvalidType: it is not a string.
        InvalidValue: it is no token, or not a whole one.
    """
    if not isinstance(text, str):
        raise InvalidType(f"a token is a str, not {text!r}; pass what to_token() returned")
    try:
        return _said(json.loads(_data(text)))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidValue(
            f"{text[:40]!r} is no token of a lease; pass what to_token() returned, whole"
        ) from error


def _data(text: str) -> bytes:
    if not text.startswith(_PREFIX):
        raise ValueError(text)
    encoded = text.removeprefix(_PREFIX).encode("ascii")
    checked = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    data = checked[:-4]
    if zlib.crc32(data).to_bytes(4) != checked[-4:]:
        raise ValueError(text)
    return data


def _said(said: Any) -> Token:
    name, owner, fence, ttl, handed, renew, baton, mark = said
    for number in (fence, handed, mark):
        check_fence(number)
    for owner_id in (owner, baton):
        check_name(owner_id)  # it has the same bounds
    named = _named(*name)
    return Token(Claim(named, owner, fence, check_ttl(ttl), handed), bool(renew), baton, mark)


def _named(name: object, asked: int | None = None, of: int | None = None) -> str:
    checked = check_name(name)
    return checked if asked is None or of is None else Shared(checked, int(asked), int(of))
