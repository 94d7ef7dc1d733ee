"""A shard in a Redis or Valkey, from version 6.2 on, easy to look at with `redis-cli`.

    ringfence:{tag}:entry      what the application stored: a hash, keys and values as in `encoding`
    ringfence:{tag}:order      the keys once more, sorted: a sorted set with equal scores
    ringfence:{tag}:ring       the state of the ring: a hash of `mark` ("epoch migrating fence"), `ring` and `previous`
    ringfence:{tag}:prepared   the gids of prepared branches, and more of the participant's own keys

One branch is open at a time. One key on one shard needs no branch: a script compares the epoch, looks for branches and
writes, at once and alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ringfence.cluster import rules
from ringfence.cluster.entries import StoredKey, Value, size
from ringfence.cluster.shards import Mark, Row, no_ring
from ringfence.cluster.shards.encoding import key_from_bytes, key_to_bytes, value_from_bytes, value_to_bytes
from ringfence.cluster.state import RingState
from ringfence.errors import InvalidValue, StoreTimeout
from ringfence.protocol import run
from ringfence.transactions.participants.redis import RedisParticipant
from ringfence.transactions.participants.redis.scripts import Script, made
from ringfence.transactions.participants.redis.work import Work

AT_ONCE = 50
"""Keys read by one request; a batch can exceed its size by that many values."""

_START = """
local PREPARED, BRANCH, RING, ENTRY, ORDER = unpack(KEYS)
local pending = redis.call('ZRANGE', PREPARED, 0, 0)[1] or false
local mark = redis.call('HGET', RING, 'mark')
local epoch = mark and string.match(mark, '^%d+')
"""

_MAY_WRITE = """
-- Only a shard on the epoch that is asked for, on which nothing is open or prepared, is written to.
if pending or redis.call('EXISTS', BRANCH) == 1 or epoch ~= ARGV[1] then return {pending, epoch, false} end
"""

READ = made(f"{_START} return {{pending, epoch, redis.call('HGET', ENTRY, ARGV[1])}}")
PAGE = made(
    f"{_START} return {{pending, epoch, redis.call('ZRANGEBYLEX', ORDER, ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])}}"
)
WRITE = made(
    f"""{_START}{_MAY_WRITE}
redis.call('HSET', ENTRY, ARGV[2], ARGV[3])
redis.call('ZADD', ORDER, 0, ARGV[2])
return {{pending, epoch, 1}}"""
)
ERASE = made(
    f"""{_START}{_MAY_WRITE}
redis.call('ZREM', ORDER, ARGV[2])
return {{pending, epoch, redis.call('HDEL', ENTRY, ARGV[2]) + 1}}"""
)


class RedisShard:
    """A shard of a cluster in the Redis of a participant.

    Args:
        name: the node of the ring that it is.
        participant: keeps its branches; its keys have one tag with those of the entries.

    Raises:
        InvalidValue: the participant has several branches open at a time.
    """

    def __init__(self, name: str, participant: RedisParticipant) -> None:
        if not participant.site.lease:
            raise InvalidValue(f"shard {name!r} needs a RedisParticipant with alone=True")
        self.name = name
        self.participant = participant
        self.place = participant.place
        own = participant.site.keys.own
        self._keys = [own(kind) for kind in ("prepared", "branch", "ring", "entry", "order")]

    def state(self) -> RingState | None:
        """Return the last committed state; None before the shard joined a ring."""
        words = ("HMGET", self.participant.site.keys.own("ring"), "mark", "ring", "previous")
        mark, ring, previous = self.participant.site.server.ask(*words)
        return None if mark is None else _state(mark, ring, previous)

    def read(self, key: StoredKey, epoch: int) -> Value | None:
        """Return the value of `key`, None when it is not here."""
        found: bytes | None = self._ask(READ, epoch, key_to_bytes(key))
        return value_from_bytes(found)

    def write(self, key: StoredKey, value: Value, epoch: int) -> None:
        """Put `key`; durably, if the server is."""
        self._change(WRITE, epoch, key_to_bytes(key), value_to_bytes(value))

    def erase(self, key: StoredKey, epoch: int) -> bool:
        """Delete `key`; was it here?"""
        return self._change(ERASE, epoch, key_to_bytes(key)) == 2

    def page(
        self, epoch: int, after: StoredKey, upto: StoredKey | None = None, limit: int = -1
    ) -> list[StoredKey]:
        """Return the keys with `after < key <= upto` in order, the first `limit` of them."""
        last = b"+" if upto is None else b"[" + key_to_bytes(upto)
        found = self._ask(PAGE, epoch, b"(" + key_to_bytes(after), last, limit)
        return [key_from_bytes(data) for data in found]

    def join(self, gid: str) -> RedisShardBranch:
        """Begin a branch of transaction `gid`, the only one that is open."""
        return RedisShardBranch(self.participant.begin(gid).work)

    def close(self) -> None:
        """Nothing to give back beside what the participant has."""

    def _ask(self, script: Script, epoch: int, *words: Any) -> Any:
        found, _ = self._run(script, epoch, words)
        return found

    def _change(self, script: Script, epoch: int, *words: Any) -> int:
        done, _ = self._run(script, epoch, (epoch, *words))
        if not done:
            raise StoreTimeout(f"a transaction is at work on shard {self.name!r}; try again")
        return int(done)

    def _run(self, script: Script, epoch: int, words: Sequence[Any]) -> tuple[Any, int]:
        pending, current, found = self.participant.site.server.evaluate(script, self._keys, words)
        # First: on a shard that is about to join, the ring is in what is prepared.
        rules.check_settled(self.name, None if pending is None else pending.decode())
        if current is None:
            raise no_ring(self.name)
        rules.check_epoch(self.name, epoch, int(current))
        return found, int(current)


class RedisShardBranch:
    """What a transaction does on one shard.

    Args:
        work: of the participant's branch, which is alone; so what it reads stays so, and is not compared again.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._written: dict[bytes, bytes | None] = {}
        self._mark: Mark | None = None
        own = work.site.keys.own
        self._ring, self._entry, self._order = (own(kind).encode() for kind in ("ring", "entry", "order"))

    @property
    def wrote(self) -> bool:
        """Has it tried to change anything?"""
        return self._work.wrote

    def mark(self) -> Mark | None:
        """Return epoch, migrating and fence; None before the shard joined a ring."""
        if self._mark is None:
            found = self._read(b"HGET", self._ring, b"mark")
            self._mark = None if found is None else _mark(found)
        return self._mark

    def set_state(self, state: RingState) -> None:
        """Write the state."""
        _, ring, previous, _ = state.row()
        self._set_mark(Mark(state.epoch, previous is not None, state.fence))
        self._write(b"HSET", self._ring, b"ring", ring.encode())
        self._write(b"HSET", self._ring, b"previous", (previous or "").encode())

    def set_fence(self, fence: int) -> None:
        """Write the fence of the state."""
        mark = self.mark()
        if mark is not None:
            self._set_mark(mark._replace(fence=fence))

    def empty(self) -> bool:
        """Is there no key here?"""
        return not self._read(b"ZCARD", self._order)

    def get(self, key: StoredKey) -> Value | None:
        """Return the value of `key`, None when it is not here."""
        [found] = self._values([key_to_bytes(key)])
        return value_from_bytes(found)

    def put(self, key: StoredKey, value: Value) -> None:
        """Write `key`."""
        data, kept = key_to_bytes(key), value_to_bytes(value)
        self._written[data] = kept
        self._write(b"HSET", self._entry, data, kept)
        self._write(b"ZADD", self._order, b"0", data)

    def delete(self, key: StoredKey) -> bool:
        """Delete `key`; was it here?"""
        there = self.get(key) is not None
        if there:
            self.discard([key])
        return there

    def rows(self, keys: Sequence[StoredKey], room: int) -> tuple[list[Row], int]:
        """Return those of `keys` that are here, with their values, ending early once `room` bytes are filled."""
        rows: list[Row] = []
        seen = 0
        while seen < len(keys) and room > 0:
            asked = keys[seen : seen + AT_ONCE]
            values = map(value_from_bytes, self._values([key_to_bytes(key) for key in asked]))
            found = [(key, value) for key, value in zip(asked, values, strict=True) if value is not None]
            room -= sum(size(value) for _, value in found)
            rows += found
            seen += len(asked)
        return rows, seen

    def insert(self, rows: Sequence[Row]) -> None:
        """Write keys that are not here."""
        keys = [key_to_bytes(key) for key, _ in rows]
        there = self._read(b"ZMSCORE", self._order, *keys) if keys else []
        if any(score is not None for score in there):
            self._work.failed = InvalidValue("a key that is to be inserted is here already")
        for key, value in rows:
            self.put(key, value)

    def discard(self, keys: Sequence[StoredKey]) -> None:
        """Delete keys."""
        for data in map(key_to_bytes, keys):
            self._written[data] = None
            self._write(b"HDEL", self._entry, data)
            self._write(b"ZREM", self._order, data)

    def _values(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found = self._read(b"HMGET", self._entry, *keys)
        return [self._written.get(key, value) for key, value in zip(keys, found, strict=True)]

    def _set_mark(self, mark: Mark) -> None:
        self._mark = mark
        self._write(b"HSET", self._ring, b"mark", b"%d %d %d" % mark)

    def _read(self, *command: bytes) -> Any:
        return run(self._work.guarded(self._work.ask(*command)))

    def _write(self, *command: bytes) -> None:
        self._work.refuse_failed()
        self._work.write(*command)


def _mark(found: bytes) -> Mark:
    epoch, migrating, fence = map(int, found.split())
    return Mark(epoch, bool(migrating), fence)


def _state(mark: bytes, ring: bytes, previous: bytes) -> RingState:
    epoch, _, fence = _mark(mark)
    return RingState.from_row((epoch, ring.decode(), previous.decode() or None, fence))
