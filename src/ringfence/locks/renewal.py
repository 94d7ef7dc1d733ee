"""The protocols that keep leases: renew in batches, try again until the deadline, and find the lost ones."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence._core.leases import LeaseTable
from ringfence.errors import StoreError
from ringfence.locks import rules
from ringfence.locks.acquire import Granted
from ringfence.locks.stores import Claim, LockStore
from ringfence.protocol import Call, Effects, Now


def keep(table: LeaseTable, granted: Granted, renew: bool) -> float:
    """Put a new lease in the table, and return when it is due; without `renew` that is when it is lost."""
    claim, deadline = granted
    due = rules.renew_at(deadline, claim.ttl) if renew else deadline
    table.add(claim, deadline, due)
    return due


def renew_due(store: LockStore, table: LeaseTable) -> Effects[list[Claim]]:
    """Renew the leases of `table` that are due, in one batch.

    Returns:
        The leases that are lost: past their deadline, or no longer held as the store says. Each is reported once.
    """
    due, lost = table.due((yield Now()))
    if due:
        lost += yield from renew(store, table, due)
    return lost


def renew(store: LockStore, table: LeaseTable, claims: Sequence[Claim]) -> Effects[list[Claim]]:
    """Renew leases of the table in one batch; one the store fails to answer for is tried again in a while.

    Returns:
        The leases that the store says are no longer held.
    """
    sent = yield Now()
    try:
        answers = yield Call(store, "renew", (claims,))
    except Exception as error:
        postpone(table, claims, sent)
        if not isinstance(error, StoreError):
            raise
        return []
    answered = yield Now()
    for claim, held in zip(claims, answers, strict=True):
        if held:
            deadline = rules.deadline(sent, answered, claim.ttl)
            table.extend(claim, deadline, rules.renew_at(deadline, claim.ttl))
    postpone(table, [claim for claim, held in zip(claims, answers, strict=True) if held is None], sent)
    refused = [claim for claim, held in zip(claims, answers, strict=True) if not (held or held is None)]
    return [claim for claim in refused if table.discard(claim)]


def postpone(table: LeaseTable, claims: Sequence[Claim], sent: float) -> None:
    """Have renewals that were not answered tried again in a while."""
    for claim in claims:
        table.postpone(claim, rules.retry_at(sent, claim.ttl))


def extend(store: LockStore, table: LeaseTable, claim: Claim, ttl: float, renew: bool) -> Effects[bool]:
    """Extend one lease of the table to `ttl` seconds from now, and say whether it is still held.

    Raises:
        StoreError: the store failed or did not answer; the lease is as it was.
    """
    sent = yield Now()
    [held] = yield Call(store, "renew", ([claim._replace(ttl=ttl)],))
    answered = yield Now()
    if not held:
        table.discard(claim)
        return False
    if not table.extend(claim, rules.deadline(sent, answered, ttl)):
        return False
    return table.postpone(claim, rules.renew_at(table.deadline(claim), claim.ttl)) if renew else True
