"""Giving back what was taken, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ringfence.errors import StoreError
from ringfence.locks.lease import BaseLease
from ringfence.protocol import Effects

L = TypeVar("L", bound=BaseLease)


def give_back(leases: Sequence[L]) -> Effects[list[L]]:
    """Give leases back, the last first, whatever happens to one of them; return those not held any more.

    Raises:
        StoreError: the first failure, when all were tried; likewise an interrupt.
    """
    lost = []
    failure: BaseException | None = None
    for lease in reversed(leases):
        try:
            if not (yield from lease._releasing()):
                lost.append(lease)
        except GeneratorExit:
            raise
        except BaseException as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return lost


def give_back_after(error: BaseException, leases: Sequence[L]) -> Effects[None]:
    """Give leases back because of an error that is going to be raised; note on it what else fails."""
    try:
        yield from give_back(leases)
    except StoreError as failure:
        error.add_note(f"and what was held was not released: {failure}")
