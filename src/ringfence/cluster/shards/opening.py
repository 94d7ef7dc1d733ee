"""Open the shards of a cluster from what the application gives: URLs or participants."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeAlias

from ringfence import _redis
from ringfence.cluster.shards import Shard
from ringfence.cluster.shards.memory import MemoryShard
from ringfence.cluster.shards.postgresql import PostgresShard
from ringfence.cluster.shards.redis import RedisShard
from ringfence.cluster.shards.sqlite import SqliteShard
from ringfence.errors import InvalidType
from ringfence.transactions import participants
from ringfence.transactions.participants import Participant
from ringfence.transactions.participants.memory import MemoryParticipant
from ringfence.transactions.participants.postgresql import PostgresParticipant
from ringfence.transactions.participants.redis import RedisParticipant
from ringfence.transactions.participants.sqlite import SqliteParticipant

Given: TypeAlias = str | SqliteParticipant | MemoryParticipant | PostgresParticipant | RedisParticipant
"""What a shard is made of."""

_REDIS = tuple(f"{scheme}://" for scheme in (*_redis.SCHEMES, _redis.SENTINEL, *_redis.CLUSTER))


def open_shard(name: str, given: Given, timeout: float, closing: ExitStack) -> Shard:
    """Make a shard; what is opened here is closed with `closing`.

    Raises:
        InvalidType: there is no shard for what was given.
        InvalidValue: the URL is wrong.
    """
    participant: Participant = given if not isinstance(given, str) else _from_url(given, timeout)
    if isinstance(given, str):
        closing.callback(participant.close)
    shard = _shard(name, participant)
    closing.callback(shard.close)
    return shard


def _shard(name: str, participant: Participant) -> Shard:
    match participant:
        case SqliteParticipant():
            return SqliteShard(name, participant)
        case MemoryParticipant():
            return MemoryShard(name, participant)
        case PostgresParticipant():
            return PostgresShard(name, participant)
        case RedisParticipant():
            return RedisShard(name, participant)
    raise InvalidType(
        f"shard {name!r} is a {type(participant).__name__}; use a URL or a participant of these kinds"
    )


def _from_url(url: str, timeout: float) -> Participant:
    if url == "memory://":
        return MemoryParticipant(timeout)
    if url.startswith(_REDIS):
        return RedisParticipant(url, timeout=timeout, alone=True)
    return participants.from_url(url, timeout)
