"""What a branch on a Redis can do, and what it refuses before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringfence.errors import Aborted, FenceRejected, InvalidType, InvalidValue, StoreError
from ringfence.locks.guards import RedisGuard
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from ringfence.transactions import TransactionManager
from ringfence.transactions import participants as participant_stores
from ringfence.transactions.participants.redis import RedisBranch, RedisParticipant
from ringfence.transactions.participants.redis.keys import encoded
from tests.locks.waiters import wait_until

pytestmark = pytest.mark.servers

GID = "main.1.1"


class Colour(StrEnum):
    RED = "red"


@pytest.fixture(scope="module")
def started() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture
def server(started: Redis) -> Redis:
    resp.ask(started.port, "FLUSHALL")
    return started


@pytest.fixture
def participant(server: Redis) -> Iterator[RedisParticipant]:
    with closing(RedisParticipant(server.url, timeout=0.05)) as opened:
        yield opened


@pytest.fixture
def branch(participant: RedisParticipant) -> RedisBranch:
    return participant.begin(GID)


def test_a_branch_sees_what_it_has_written(branch: RedisBranch) -> None:
    assert (branch.get("k"), branch.hget("h", "f"), branch.wrote) == (None, None, False)
    branch.set("k", 1)
    branch.hset("h", "f", "é")
    branch.hset("h", "g", b"\xff")
    assert (branch.get("k"), branch.hget("h", "f"), branch.hget("h", "g")) == (b"1", "é".encode(), b"\xff")
    branch.hdel("h", "g")
    branch.delete("k")
    assert (branch.get("k"), branch.hget("h", "g"), branch.hget("h", "f")) == (None, None, "é".encode())
    branch.delete("h")
    assert branch.hget("h", "f") is None
    branch.hset("h", "only", 1.5)
    assert (branch.hget("h", "f"), branch.hget("h", "only")) == (None, b"1.5")


def test_others_see_it_after_the_commit_in_the_order_in_which_it_was_done(
    server: Redis, participant: RedisParticipant, branch: RedisBranch
) -> None:
    resp.ask(server.port, "HSET", "h", "old", "1")
    branch.delete("h")
    branch.hset("h", "new", 1)
    branch.set("s", "text")
    branch.delete("s")
    branch.hset("s", "f", 2)
    branch.hset("t", "f", 2)
    branch.set("t", "text")
    participant.prepare(GID)
    assert resp.ask(server.port, "HGET", "h", "old") == b"1"
    participant.commit(GID)
    assert resp.ask(server.port, "HGETALL", "h") == [b"new", b"1"]
    assert resp.ask(server.port, "HGET", "s", "f") == b"2"
    assert resp.ask(server.port, "GET", "t") == b"text"


def test_numbers_are_added_to(server: Redis, participant: RedisParticipant, branch: RedisBranch) -> None:
    assert [branch.incrby("n"), branch.incrby("n", 5), branch.incrby("n", -10)] == [1, 6, -4]
    participant.one_phase(GID)
    assert resp.ask(server.port, "GET", "n") == b"-4"


@pytest.mark.parametrize(
    ("start", "amount"),
    [
        *[(text, 1) for text in ("text", "1.5", "1_0", " 5", "05", "", str(2**63 - 1))],
        (str(-(2**63)), -1),
        ("1", "one"),
    ],
)
def test_what_is_no_number_is_not_added_to(
    server: Redis, participant: RedisParticipant, branch: RedisBranch, start: str, amount: Any
) -> None:
    resp.ask(server.port, "SET", "n", start)
    with pytest.raises(StoreError):
        branch.incrby("n", amount)
    with pytest.raises(Aborted, match="failed"):
        participant.one_phase(GID)


@pytest.mark.parametrize("name", ["get", "delete", "incrby"])
def test_keys_are_text_or_bytes(branch: RedisBranch, name: str) -> None:
    with pytest.raises(InvalidType):
        getattr(branch, name)(1)


@pytest.mark.parametrize("key", ["ringfence:{txn}:held", b"ringfence:guard:{report}"])
def test_keys_of_the_library_are_refused(branch: RedisBranch, key: Any) -> None:
    with pytest.raises(InvalidValue, match="own keys"):
        branch.set(key, 1)


@pytest.mark.parametrize(
    ("value", "error"), [(None, InvalidType), (True, InvalidType), ("\ud800", InvalidValue)]
)
def test_values_are_what_redis_keeps(branch: RedisBranch, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        branch.set("k", value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.float64(0.1), b"0.1"),
        (HTTPStatus.OK, b"200"),
        (np.str_("text"), b"text"),
        (Colour.RED, b"red"),
        (2**70, b"1180591620717411303424"),
    ],
)
def test_subclasses_are_kept_as_the_numbers_and_texts_that_they_are(value: Any, kept: bytes) -> None:
    assert encoded(value) == kept


def test_a_branch_that_was_prepared_takes_no_more(participant: RedisParticipant, branch: RedisBranch) -> None:
    branch.set("k", 1)
    participant.prepare(GID)
    with pytest.raises(InvalidValue, match="over"):
        branch.set("k", 2)
    participant.commit(GID)


def test_a_branch_begins_once(participant: RedisParticipant, branch: RedisBranch) -> None:
    branch.get("k")
    with pytest.raises(InvalidValue, match="open already"):
        participant.begin(GID)


def test_the_guard_of_locks_and_a_branch_refuse_alike(server: Redis, participant: RedisParticipant) -> None:
    with RedisGuard(server.url, "report") as guard:
        with guard.write(7) as commands:
            commands.set("k", "by the guard")
        participant.begin(GID).set("k", "by a branch")
        participant.guard(GID, "report", 6)
        with pytest.raises(FenceRejected):
            participant.prepare(GID)
        participant.begin("main.1.2").set("k", "by a branch")
        participant.guard("main.1.2", "report", 8)
        participant.one_phase("main.1.2")
        assert guard.mark() == 8
        with pytest.raises(FenceRejected), guard.write(7) as commands:
            commands.set("k", "late")
        assert resp.ask(server.port, "GET", "k") == b"by a branch"


@pytest.mark.parametrize("options", ["?tag=a b", "?tag=a}b", "?tag=" + 65 * "a"])
def test_a_tag_is_a_word(server: Redis, options: str) -> None:
    with pytest.raises(InvalidValue, match="hash tag"):
        RedisParticipant(server.url + options)


def test_tags_are_participants_of_their_own(server: Redis) -> None:
    one, other = (RedisParticipant(f"{server.url}?tag={tag}") for tag in ("one", "other"))
    with closing(one), closing(other):
        one.begin(GID).set("k", 1)
        one.prepare(GID)
        assert (one.recover(), other.recover()) == ([GID], [])


def test_a_url_opens_it(server: Redis, tmp_path: Path) -> None:
    with closing(participant_stores.from_url(server.url, 1.0)) as opened:
        assert isinstance(opened, RedisParticipant)
    with pytest.raises(InvalidValue, match="same store"):
        TransactionManager(f"sqlite:///{tmp_path}/d.db", {"east": server.url, "west": server.url})


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        ("redis://host", "redis://HOST:6379/0", True),
        ("redis://host/", "rediss://user:secret@host/0?db=0", True),
        ("redis://", "redis://localhost", True),
        ("redis://host/1", "redis://host?db=1", True),
        ("redis://host/name", "redis://host", True),
        ("redis://host/2?db=1", "redis://host/1", True),
        ("redis://host?db=1", "redis://host?db=2", False),
        ("redis://host", "redis://host:6380", False),
        ("unix:///run/redis", "unix:///run/redis?db=0", True),
        ("unix:///run/redis", "unix:///run/redis?db=1", False),
        ("redis+sentinel://a:26379,b/main", "redis+sentinel://b:26379,a/main/0", True),
        ("redis+sentinel://a/main", "redis+sentinel://a/main/1", False),
        ("redis+cluster://a,b:6379?tag=t", "rediss+cluster://b,a?tag=t", True),
        ("redis+cluster://a?tag=t", "redis+cluster://a?tag=u", False),
    ],
)
def test_urls_of_one_store_are_known_as_such(url: str, other: str, same: bool) -> None:
    one, two = RedisParticipant(url), RedisParticipant(other)
    with closing(one), closing(two):
        assert (one.place == two.place) is same


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"appendonly": "yes"}, None),
        ({}, "appendonly"),
        ({"appendonly": "yes", "appendfsync": "everysec"}, "appendfsync"),
        ({"appendonly": "yes", "maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}, "maxmemory-policy"),
    ],
)
def test_it_says_whether_it_is_durable(options: dict[str, str], said: str | None) -> None:
    """And an in-memory one can be used, for those who know what they do."""
    with Redis(options=options) as server, closing(RedisParticipant(server.url)) as participant:
        found = participant.shortcoming()
        assert found is None if said is None else said in str(found)
        assert participant.capabilities.durable is (said is None)
        assert participant.capabilities.marker is False
        participant.begin(GID).set("k", 1)
        participant.one_phase(GID)


def test_one_that_a_replica_may_replace_is_not_durable() -> None:
    options = {"appendonly": "yes"}
    with (
        Redis(options=options) as server,
        Redis() as replica,
        closing(RedisParticipant(server.url)) as participant,
    ):
        resp.ask(replica.port, "REPLICAOF", "127.0.0.1", str(server.port))
        wait_until(lambda: "replicas" in str(participant.shortcoming()))


def test_one_that_does_not_tell_its_settings_is_not_durable() -> None:
    with Redis(durable=True) as server, closing(RedisParticipant(server.url)) as participant:
        resp.ask(server.port, "ACL", "SETUSER", "default", "-config")
        assert "settings" in str(participant.shortcoming())
        assert participant.capabilities.durable is False
