"""From URLs to stores, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ringfence.errors import InvalidType, InvalidValue
from ringfence.transactions import decisions as decision_stores
from ringfence.transactions import participants as participant_stores
from ringfence.transactions.timeouts import check_seconds

ACKS = ("applied", "decided")

Open = Callable[[str, float], Any]
"""What opens the store that a URL names, given a timeout."""


def open_stores(
    decisions: Any,
    participants: Mapping[str, Any],
    timeout: float,
    open_decisions: Open = decision_stores.from_url,
    open_participant: Open = participant_stores.from_url,
) -> tuple[Any, dict[str, Any]]:
    """The decision store and the participants that were given, or that URLs name.

    Args:
        decisions: a URL, or a store; None for the one that the first participant carries that can.
        participants: URLs, or participants, by name.
        timeout: for what is opened here.
        open_decisions: opens a decision store.
        open_participant: opens a participant.

    Raises:
        InvalidType: `timeout` is no number, or `participants` no mapping.
        InvalidValue: `timeout` is below 0 or not finite; there are no participants, or a name is empty; no store is
            known for a URL; two names mean one store; or no participant can carry decisions and no store was given.
    """
    check_seconds("timeout", timeout)
    _check_names(participants)
    if isinstance(decisions, str):
        decisions = open_decisions(decisions, timeout)
    opened = {
        name: open_participant(store, timeout) if isinstance(store, str) else store
        for name, store in participants.items()
    }
    _refuse_one_store_twice(opened)
    return _carried(opened) if decisions is None else decisions, opened


def check_ack(ack: str) -> str:
    """Return `ack` if it is one.

    Raises:
        InvalidValue: it is not.
    """
    if ack not in ACKS:
        raise InvalidValue(f"ack is {' or '.join(map(repr, ACKS))}, not {ack!r}")
    return ack


def _check_names(participants: object) -> None:
    if not isinstance(participants, Mapping):
        raise InvalidType(
            f"participants are a mapping of names to URLs or participants, not {participants!r}"
        )
    if not participants:
        raise InvalidValue("a TransactionManager needs at least one participant")
    for name in participants:
        if not isinstance(name, str) or not name:
            raise InvalidValue(f"a participant's name is a string that is not empty, not {name!r}")


def _carried(participants: Mapping[str, Any]) -> Any:
    for participant in participants.values():
        if participant.capabilities.marker:
            return participant.decision_store()
    raise InvalidValue("none of the participants carries decisions; name a decision store")


def _refuse_one_store_twice(participants: Mapping[str, Any]) -> None:
    """Two names for one store would wait for each other for ever."""
    seen: dict[object, str] = {}
    for name, participant in participants.items():
        other = seen.setdefault(getattr(participant, "place", id(participant)), name)
        if other != name:
            raise InvalidValue(f"participants {other!r} and {name!r} are the same store; name it once")
