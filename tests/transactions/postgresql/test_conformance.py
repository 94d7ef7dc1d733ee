"""The PostgreSQL participants and decision store pass the suites, over a real server."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from ringfence.testing.decision_store import DecisionStoreSuite
from ringfence.testing.participant import ParticipantSuite
from ringfence.testing.servers import PostgreSQL
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.decisions.postgresql import PostgresDecisions
from ringfence.transactions.participants import Participant
from ringfence.transactions.participants.postgresql import AsyncPostgresParticipant, PostgresParticipant

from .databases import Database, read, write

pytestmark = pytest.mark.servers
WAIT = 0.2


class OnDatabase:
    """Gives each test a database."""

    @pytest.fixture(autouse=True)
    def take_server(self, server: PostgreSQL) -> None:
        self.server = server

    def emptied(self) -> str:
        return Database.emptied(self.server, "east").url


class TestPostgresParticipant(OnDatabase, ParticipantSuite):
    def open(self) -> Participant:
        return PostgresParticipant(self.emptied(), timeout=WAIT)

    def restart(self, participant: Participant) -> Participant:
        assert isinstance(participant, PostgresParticipant)
        participant.close()
        return PostgresParticipant(participant.url, timeout=WAIT)

    def write(self, branch: Any, value: int) -> None:
        write(branch, value)

    def read(self, branch: Any) -> int | None:
        return read(branch)

    def write_elsewhere(self, branch: Any, value: int) -> None:
        write(branch, value, 2)

    def read_elsewhere(self, branch: Any) -> int | None:
        return read(branch, 2)

    def fail(self, branch: Any) -> None:
        with suppress(psycopg.errors.UndefinedTable):
            branch.execute("SELECT * FROM missing")


class OnLoop:
    """Something of asyncio, used from outside its loop."""

    def __init__(self, thing: Any, runner: asyncio.Runner) -> None:
        self.thing = thing
        self.runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.thing, name)
        if not inspect.iscoroutinefunction(found):
            return found

        def call(*arguments: Any) -> Any:
            answer = self.runner.run(found(*arguments))
            return OnLoop(answer, self.runner) if name == "begin" else answer

        return call


class TestAsyncPostgresParticipant(TestPostgresParticipant):
    @pytest.fixture(autouse=True)
    def run_loop(self) -> Iterator[None]:
        with asyncio.Runner() as self.runner:
            yield

    def open(self) -> Any:
        return OnLoop(AsyncPostgresParticipant(self.emptied(), timeout=WAIT), self.runner)

    def restart(self, participant: Any) -> Any:
        participant.close()
        return OnLoop(AsyncPostgresParticipant(participant.url, timeout=WAIT), self.runner)


class TestPostgresDecisions(OnDatabase, DecisionStoreSuite):
    def open(self) -> DecisionStore:
        return PostgresDecisions(self.emptied())

    def restart(self, store: DecisionStore) -> DecisionStore:
        assert isinstance(store, PostgresDecisions)
        store.close()
        return PostgresDecisions(store.url)
