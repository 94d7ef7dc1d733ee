"""Locks that several hold at once, in Redis: what is asked, what is left there, and who is passed over."""

import time
from collections.abc import Iterator

import pytest

from ringfence.locks.stores import Claim, Shared
from ringfence.locks.stores.redis.store import RedisStore
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from tests.locks.redis.test_requests import asked

ALL = 1000
LONG = 60.0


def reading(name: str) -> Shared:
    return Shared(name, 1, ALL)


def writing(name: str) -> Shared:
    return Shared(name, ALL, ALL)


@pytest.fixture
def server() -> Iterator[Redis]:
    with Redis() as started:
        yield started


@pytest.fixture
def store(server: Redis) -> Iterator[RedisStore]:
    opened = RedisStore(server.url, timeout=10.0)
    yield opened
    opened.close()


def taken(store: RedisStore, name: Shared, owner: str) -> int:
    fence = store.grant(name, owner, LONG)
    assert fence is not None
    return fence


def test_every_key_has_a_time_to_live(server: Redis, store: RedisStore) -> None:
    fence = taken(store, writing("x"), "writer")
    assert store.grant(reading("x"), "reader", LONG, True) is None
    keys = resp.ask(server.port, "KEYS", "*")
    assert sorted(keys) == [
        b"ringfence:{x}:shared:ends",
        b"ringfence:{x}:shared:lease",
        b"ringfence:{x}:shared:places",
        b"ringfence:{x}:shared:queue",
    ]
    assert all(resp.ask(server.port, "PTTL", key.decode()) > 0 for key in keys)
    store.release(writing("x"), "writer", fence)
    store.withdraw(reading("x"), "reader")
    assert resp.ask(server.port, "KEYS", "*") == [b"ringfence:{x}:shared:lease"]
    assert resp.ask(server.port, "PTTL", "ringfence:{x}:shared:lease") > 0


def test_asking_about_an_unknown_lock_leaves_nothing(server: Redis, store: RedisStore) -> None:
    assert store.release(reading("x"), "nobody", 1) is False
    assert store.renew([Claim(reading("x"), "nobody", 1, LONG)]) == [False]
    store.withdraw(reading("x"), "nobody")
    assert store.status(reading("x")) == ((), ())
    assert resp.ask(server.port, "KEYS", "*") == []


def test_one_release_calls_up_all_readers_in_one_request(server: Redis, store: RedisStore) -> None:
    readers = [RedisStore(server.url, timeout=10.0) for _ in range(5)]
    fence = taken(store, writing("x"), "writer")
    store.release(writing("x"), "nobody", 1)  # from now on the server knows the script
    for number, reader in enumerate(readers):
        assert reader.grant(reading("x"), f"r{number}", LONG, True) is None
    asked(server)
    assert store.release(writing("x"), "writer", fence) is True
    pushes = [reader.wait(reading("x"), f"r{number}", 10.0) for number, reader in enumerate(readers)]
    fences = [push.fence for push in pushes if push is not None]
    assert fences == sorted({*fences, fence})[1:]
    assert len(fences) == 5
    assert asked(server) == {"evalsha": 1}
    for reader in readers:
        reader.close()


def test_a_reader_whose_process_died_is_passed_over(server: Redis, store: RedisStore) -> None:
    dead, waiting = RedisStore(server.url, timeout=10.0), RedisStore(server.url, timeout=10.0)
    fence = taken(store, writing("x"), "writer")
    assert dead.grant(writing("x"), "dead", LONG, True) is None
    assert waiting.grant(reading("x"), "reader", LONG, True) is None
    dead.close()
    assert store.release(writing("x"), "writer", fence) is True
    assert waiting.wait(reading("x"), "reader", 10.0) is not None
    waiting.close()


def test_a_server_that_lost_its_scripts_is_given_them_again(server: Redis, store: RedisStore) -> None:
    fence = taken(store, reading("x"), "me")
    resp.ask(server.port, "SCRIPT", "FLUSH")
    assert store.renew([Claim(reading("x"), "me", fence, LONG)]) == [True]
    resp.ask(server.port, "SCRIPT", "FLUSH")
    assert store.status(reading("x")).holders[0].fence == fence
    resp.ask(server.port, "SCRIPT", "FLUSH")
    assert store.release(reading("x"), "me", fence) is True


def test_fences_grow_after_everything_was_lost(server: Redis, store: RedisStore) -> None:
    first = taken(store, reading("x"), "a")
    resp.ask(server.port, "FLUSHALL")
    assert taken(store, writing("x"), "b") > first


def test_leases_that_were_evicted_block_nobody(server: Redis, store: RedisStore) -> None:
    assert store.grant(writing("x"), "evicted", 0.1) is not None
    resp.ask(server.port, "DEL", "ringfence:{x}:shared:lease")
    time.sleep(0.2)
    fence = taken(store, writing("x"), "next")
    assert store.release(writing("x"), "next", fence) is True
