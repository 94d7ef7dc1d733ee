"""The suite over the guard of Redis, and what is its alone."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from ringfence.errors import BackendUnavailable, InvalidType, InvalidValue, OutcomeUnknown, StoreError
from ringfence.locks.guards import RedisGuard
from tests.locks.guards.server_suite import ServerSuite

pytestmark = pytest.mark.servers


class TestRedis(ServerSuite):
    kind = "redis"

    def open(self, resource: str = "") -> RedisGuard:
        return RedisGuard(self.server.url, resource or self.key, timeout=5)

    def put(self, writing: Any, value: str) -> None:
        writing.set(self.key, value)

    def read(self) -> str:
        with redis.Redis.from_url(self.server.url, decode_responses=True) as client:
            return str(client.get(self.key) or "")

    def test_all_commands_of_a_block_run_in_their_order(self) -> None:
        with self.open() as guard, redis.Redis.from_url(self.server.url) as client:
            with guard.write(1) as commands:
                commands.rpush(self.key, "é", b"\xff", 3, 1.5)
                commands.lpop(self.key)
                commands.hset("h" + self.key, mapping={"a": 1, "b": 2})
                commands.expire(self.key, 100)
                commands.execute_command("MEMORY USAGE", self.key)
            assert client.lrange(self.key, 0, -1) == [b"\xff", b"3", b"1.5"]
            assert client.hgetall("h" + self.key) == {b"a": b"1", b"b": b"2"}
            assert 0 < client.ttl(self.key) <= 100

    def test_the_script_compares_fences_by_itself(self) -> None:
        with self.open() as guard:
            highest = 2**63 - 1
            for fence, refused_by in (
                (9, 0),
                (10, 0),
                (9, 10),
                (10, 0),
                (highest, 0),
                (highest - 1, highest),
            ):
                assert int(guard._send(fence, []) or 0) == refused_by

    def test_a_block_without_commands_raises_the_mark(self) -> None:
        with self.open() as guard:
            with guard.write(3):
                pass
            assert guard.mark() == 3

    def test_resources_are_independent(self) -> None:
        with self.open() as guard, self.open("other" + self.key) as other:
            self.write(guard, 9)
            self.write(other, 1)
        assert self.read() == "1"

    def test_a_command_that_fails_is_told(self) -> None:
        with self.open() as guard:
            self.write(guard, 1)
            with pytest.raises(StoreError, match="WRONGTYPE"), guard.write(2) as commands:
                commands.lpush(self.key, "x")

    def test_a_command_too_long_for_lua_is_refused_before_anything_is_sent(self) -> None:
        with self.open() as guard:
            with pytest.raises(InvalidValue, match="4000 words"), guard.write(1) as commands:
                commands.rpush(self.key, *range(4000))
            with guard.write(1) as commands:
                commands.rpush(self.key, *range(3998))

    def test_a_lost_answer_is_unknown(self) -> None:
        """And the commands are not sent again behind the caller's back."""
        with self.open() as guard, redis.Redis.from_url(self.server.url) as client:

            def cut() -> None:
                with guard.write(1) as commands:
                    commands.incr(self.key)
                    self.server.kill()

            with pytest.raises(OutcomeUnknown):
                cut()
            self.server.start()
            with guard.write(1) as commands:
                commands.incr(self.key)
            assert client.get(self.key) == b"1"

    def test_a_server_that_is_not_there_is_named(self) -> None:
        with RedisGuard("redis://127.0.0.1:1", "x") as guard:
            with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1:1"):
                self.write(guard, 1)
            with pytest.raises(BackendUnavailable):
                guard.mark()

    @pytest.mark.parametrize("url", [None, 1, "sqlite:///x", "redis"])
    def test_a_url_of_redis_is_needed(self, url: Any) -> None:
        with pytest.raises((InvalidType, InvalidValue)):
            RedisGuard(url, "x")
