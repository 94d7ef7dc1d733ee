"""MariaDB passes the conformance suites of participants and of decision stores, for threads and for asyncio."""

from __future__ import annotations

import contextlib
from typing import Any

import pymysql
import pytest

from ringfence.testing.decision_store import DecisionStoreSuite
from ringfence.testing.participant import ParticipantSuite
from ringfence.transactions.decisions import DecisionStore, from_url
from ringfence.transactions.decisions.mariadb import MariaDecisions
from ringfence.transactions.participants import Participant
from ringfence.transactions.participants.mariadb import AsyncMariaParticipant, MariaParticipant

from .databases import Databases, got, put
from .looped import Looped


@pytest.mark.servers
class TestMariaDecisions(DecisionStoreSuite):
    @pytest.fixture(autouse=True)
    def _databases(self, databases: Databases) -> None:
        self.databases = databases

    def open(self) -> DecisionStore:
        self.url = self.databases.new()
        return from_url(self.url, 5)

    def restart(self, store: DecisionStore) -> DecisionStore:
        store.close()
        return MariaDecisions(self.url)


@pytest.mark.servers
class TestMariaParticipant(ParticipantSuite):
    @pytest.fixture(autouse=True)
    def _databases(self, databases: Databases) -> None:
        self.databases = databases

    def open(self) -> Participant:
        self.url = self.databases.new()
        return MariaParticipant(self.url, timeout=2)

    def restart(self, participant: Participant) -> Participant:
        participant.close()
        return MariaParticipant(self.url, timeout=2)

    def write(self, branch: Any, value: int) -> None:
        put(branch, value)

    def read(self, branch: Any) -> int | None:
        return got(branch)

    def write_elsewhere(self, branch: Any, value: int) -> None:
        put(branch, value, 2)

    def read_elsewhere(self, branch: Any) -> int | None:
        return got(branch, 2)

    def fail(self, branch: Any) -> None:
        with contextlib.suppress(pymysql.Error):
            branch.execute("INSERT INTO item VALUES (1, NULL)")


class TestAsyncMariaParticipant(TestMariaParticipant):
    """The same suite, which asks a loop that runs in a thread."""

    def open(self) -> Participant:
        self.url = self.databases.new()
        return Looped(lambda: AsyncMariaParticipant(self.url, timeout=2))

    def restart(self, participant: Participant) -> Participant:
        participant.close()
        return Looped(lambda: AsyncMariaParticipant(self.url, timeout=2))
