"""From URLs to stores, checked before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ringfence.errors import InvalidType, InvalidValue
from ringfence.transactions import decisions as decision_stores
from ringfence.transactions import participants as participant_stores
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.participants import Participant


def open_decisions(store: str | DecisionStore, timeout: float) -> DecisionStore:
    """The decision store that was given, or the one that a URL names.

    Raises:
        InvalidType: `timeout` is no number.
        InvalidValue: `timeout` is below 0 or not finite, or no store is known for the URL.
    """
    _check_timeout(timeout)
    return decision_stores.from_url(store, timeout) if isinstance(store, str) else store


def open_participants(stores: Mapping[str, str | Participant], timeout: float) -> dict[str, Participant]:
    """The participants that were given, or that URLs name.

    Raises:
        InvalidType: not a mapping.
        InvalidValue: it is empty, a name is, two names mean one store, or no participant is known for a URL.
    """
    if not isinstance(stores, Mapping):
        raise InvalidType(f"participants are a mapping of names to URLs or participants, not {stores!r}")
    if not stores:
        raise InvalidValue("a TransactionManager needs at least one participant")
    for name in stores:
        if not isinstance(name, str) or not name:
            raise InvalidValue(f"a participant's name is a string that is not empty, not {name!r}")
    opened = {name: _open_participant(store, timeout) for name, store in stores.items()}
    _refuse_one_store_twice(opened)
    return opened


def _open_participant(store: str | Participant, timeout: float) -> Participant:
    return participant_stores.from_url(store, timeout) if isinstance(store, str) else store


def _check_timeout(timeout: float) -> None:
    if not isinstance(timeout, int | float) or isinstance(timeout, bool):
        raise InvalidType(f"timeout is a number of seconds, not {timeout!r}")
    if not 0 <= timeout < float("inf"):
        raise InvalidValue(f"timeout is at least 0 and finite, not {timeout!r}")


def _refuse_one_store_twice(participants: Mapping[str, Participant]) -> None:
    """Two names for one store would wait for each other for ever."""
    seen: dict[object, str] = {}
    for name, participant in participants.items():
        other = seen.setdefault(_identity(participant), name)
        if other != name:
            raise InvalidValue(f"participants {other!r} and {name!r} are the same store; name it once")


def _identity(participant: Participant) -> object:
    path = getattr(participant, "path", None)
    return getattr(participant, "place", id(participant)) if path is None else os.path.realpath(path)
