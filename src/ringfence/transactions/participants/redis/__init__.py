"""A Redis or Valkey as a participant: its keys, the scripts that change them, and a branch's commands."""

from ringfence.transactions.participants.redis.participant import RedisBranch, RedisParticipant

__all__ = ["RedisBranch", "RedisParticipant"]
