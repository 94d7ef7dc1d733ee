"""What the errors of MariaDB mean for a transaction."""

from __future__ import annotations

from ringfence._mysql.session import Answer, Reply
from ringfence.errors import OutcomeUnknown, StoreDamaged, StoreError, StoreTimeout
from ringfence.transactions.outcome import Outcome

STANDS = 1062
"""Duplicate key: the row that was to be put is there."""
STALE = 1048
"""NULL where there must be a value: see `tables.decided`."""
UNKNOWN_XID = 1397
NO_SESSION = 1094

_CONFLICTS = (1020, 1205, 1213, 1613, 1614)
"""Record changed since the snapshot, lock wait timeout, deadlock, and what XA says of the latter two."""


def code(reply: Reply) -> int:
    """The number of an error, 0 for an answer."""
    if isinstance(reply, Answer) or not reply.args:
        return 0
    return int(reply.args[0]) if isinstance(reply.args[0], int) else 0


def is_conflict(reply: Reply) -> bool:
    """Did another transaction stand in the way, so that the same may well succeed soon?"""
    return code(reply) in _CONFLICTS


def no_answer(reply: Reply) -> OutcomeUnknown:
    """What it means that the connection broke before the answer."""
    return OutcomeUnknown(f"MariaDB did not answer ({reply}); it may or may not have been done")


def refusal(error: Exception) -> StoreError:
    """What it means that the server refused."""
    if is_conflict(error):
        return StoreTimeout(f"another transaction stood in the way ({error}); nothing was changed, try again")
    return StoreError(f"MariaDB refused: {error}")


def answered(reply: Reply) -> Answer:
    """The answer.

    Raises:
        StoreTimeout: another transaction stood in the way.
        StoreError: the server refused.
    """
    if isinstance(reply, Answer):
        return reply
    raise refusal(reply) from reply


def known(outcome: bytes) -> Outcome:
    """The outcome that a row holds.

    Raises:
        StoreDamaged: it is none.
    """
    try:
        return Outcome(outcome.decode())
    except ValueError as error:
        raise StoreDamaged(f"a table holds an outcome {outcome!r}, which is none; restore it") from error
