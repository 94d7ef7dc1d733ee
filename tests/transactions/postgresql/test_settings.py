"""What a database has set weakens neither decisions nor branches."""

from __future__ import annotations

from contextlib import closing

import pytest

from ringfence._postgresql.statement import once
from ringfence.errors import Aborted
from ringfence.transactions import Outcome
from ringfence.transactions.decisions.postgresql import PostgresDecisions
from ringfence.transactions.participants.postgresql import PostgresParticipant

from .databases import Database, write

GID, OTHER = "main.1.1", "main.1.2"
SERVERS = pytest.mark.servers


@SERVERS
def test_a_database_that_commits_without_the_disk_is_overruled(east: Database) -> None:
    east.ask("ALTER DATABASE east SET synchronous_commit = off")
    try:
        with closing(PostgresParticipant(east.url)) as participant:
            assert participant.begin(GID).execute("SHOW synchronous_commit") == [("on",)]
        with closing(PostgresDecisions(east.url)) as decisions:
            decisions.begin_epoch("main")
            line = decisions._pool.take()
            assert line.rows(line.ask([once("SHOW synchronous_commit")])[0]) == [("on",)]
            decisions._pool.give(line)
    finally:
        east.ask("ALTER DATABASE east RESET synchronous_commit")


@SERVERS
@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_an_old_snapshot_shows_no_old_epoch(east: Database, isolation: str) -> None:
    east.ask(f"ALTER DATABASE east SET default_transaction_isolation = '{isolation}'")
    try:
        with (
            closing(PostgresParticipant(east.url)) as participant,
            closing(participant.decision_store()) as decisions,
        ):
            decisions.begin_epoch("main")
            write(participant.begin(GID), 1)
            assert participant.decide(GID) is Outcome.COMMITTED
            write(participant.begin(OTHER), 2)
            decisions.begin_epoch("main")
            with pytest.raises(Aborted) as error:
                participant.decide(OTHER)
            assert error.value.retryable
            assert decisions.get(OTHER) is None
        assert east.value() == 1
    finally:
        east.ask("ALTER DATABASE east RESET default_transaction_isolation")
