"""Open the shards of a cluster from what the application gives: URLs or participants."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeAlias

from ringfence._url import split
from ringfence.cluster.shards import Shard
from ringfence.cluster.shards.memory import MemoryShard
from ringfence.cluster.shards.sqlite import SqliteShard
from ringfence.errors import InvalidType
from ringfence.transactions import participants
from ringfence.transactions.participants import Participant
from ringfence.transactions.participants.memory import MemoryParticipant
from ringfence.transactions.participants.sqlite import SqliteParticipant

Given: TypeAlias = str | SqliteParticipant | MemoryParticipant
"""What a shard is made of."""


def open_shard(name: str, given: Given, timeout: float, closing: ExitStack) -> Shard:
    """Make a shard; what is opened here is closed with `closing`.

    Raises:
        InvalidType: there is no shard for what was given.
        InvalidValue: the URL is wrong.
    """
    participant: Participant = given if not isinstance(given, str) else _from_url(given, timeout)
    if isinstance(given, str):
        closing.callback(participant.close)
    if isinstance(participant, SqliteParticipant):
        shard: Shard = SqliteShard(name, participant)
    elif isinstance(participant, MemoryParticipant):
        shard = MemoryShard(name, participant)
    else:
        raise InvalidType(f"shard {name!r} is given as a {type(given).__name__}; use a URL or a participant")
    closing.callback(shard.close)
    return shard


def _from_url(url: str, timeout: float) -> Participant:
    if split(url) == ("memory", ""):
        return MemoryParticipant(timeout)
    return participants.from_url(url, timeout)
