"""The suite of all participants, over a Redis that syncs and is killed with each restart."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from ringfence.errors import StoreError
from ringfence.testing.participant import ParticipantSuite
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from ringfence.transactions.participants.redis import RedisParticipant, aio

pytestmark = pytest.mark.servers

PATIENCE = 30.0


@pytest.fixture(scope="class", autouse=True)
def server(request: pytest.FixtureRequest) -> Iterator[None]:
    with Redis(durable=True) as started:
        request.cls.server = started
        yield


class Blocking:
    """The participant of asyncio, asked without it: what its methods return is awaited."""

    def __init__(self, asked: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = asked
        self.loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.asked, name)
        if not callable(found):
            return found

        def call(*arguments: Any) -> Any:
            answer = found(*arguments)
            if inspect.isawaitable(answer):
                answer = self.loop.run_until_complete(answer)
            return Blocking(answer, self.loop) if isinstance(answer, aio.RedisBranch) else answer

        return call


class RedisSuite(ParticipantSuite):
    """One branch at a time."""

    server: Redis
    alone = True

    def setup_method(self) -> None:
        self.participants: list[Any] = []

    def teardown_method(self) -> None:
        for participant in self.participants:
            participant.close()

    def made(self, timeout: float) -> Any:
        return RedisParticipant(self.server.url, timeout=timeout, alone=self.alone)

    def open(self) -> Any:
        resp.ask(self.server.port, "FLUSHALL")
        return self.opened(0.05)

    def opened(self, timeout: float) -> Any:
        self.participants.append(self.made(timeout))
        return self.participants[-1]

    def restart(self, participant: Any) -> Any:
        self.server.kill()
        self.server.start()
        return self.opened(PATIENCE)

    def write(self, branch: Any, value: int) -> None:
        branch.set("value", value)

    def read(self, branch: Any) -> int | None:
        found = branch.get("value")
        return None if found is None else int(found)

    def write_elsewhere(self, branch: Any, value: int) -> None:
        branch.hset("elsewhere", "value", value)

    def read_elsewhere(self, branch: Any) -> int | None:
        found = branch.hget("elsewhere", "value")
        return None if found is None else int(found)

    def fail(self, branch: Any) -> None:
        branch.hset("a hash", "a field", 1)
        with suppress(StoreError):
            branch.get("a hash")


class TestAlone(RedisSuite):
    pass


class TestSideBySide(RedisSuite):
    alone = False


class AioSuite(RedisSuite):
    def setup_method(self) -> None:
        super().setup_method()
        self.loop = asyncio.new_event_loop()

    def teardown_method(self) -> None:
        super().teardown_method()
        self.loop.close()

    def made(self, timeout: float) -> Any:
        made = aio.RedisParticipant(self.server.url, timeout=timeout, alone=self.alone)
        return Blocking(made, self.loop)


class TestAioAlone(AioSuite):
    pass


class TestAioSideBySide(AioSuite):
    alone = False
