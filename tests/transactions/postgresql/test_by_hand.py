"""Prepared transactions that somebody else prepared, or ended: told apart, never guessed, never touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from ringfence.errors import BackendUnavailable, HeuristicOutcome
from ringfence.testing.servers import PostgreSQL
from ringfence.testing.servers.fixtures import PrivateServers
from ringfence.transactions import Outcome
from ringfence.transactions.participants.postgresql import PostgresParticipant

from .databases import Database, write

pytestmark = pytest.mark.servers
GID, OTHER = "main.1.1", "main.1.2"


@pytest.fixture
def participant(east: Database) -> Iterator[PostgresParticipant]:
    with closing(PostgresParticipant(east.url)) as opened:
        yield opened


def prepare(participant: PostgresParticipant, gid: str = GID, number: int = 1) -> None:
    write(participant.begin(gid), 1, number)
    participant.prepare(gid)


def by_hand(database: Database, verb: str) -> None:
    [name] = database.prepared()
    database.ask(f"{verb} PREPARED '{name}'")


def test_one_that_was_rolled_back_by_hand_is_told(east: Database, participant: PostgresParticipant) -> None:
    prepare(participant)
    by_hand(east, "ROLLBACK")
    with pytest.raises(HeuristicOutcome, match="rolled back by hand"):
        participant.commit(GID)
    participant.commit(GID)  # told once


def test_one_that_was_committed_by_hand_is_told(east: Database, participant: PostgresParticipant) -> None:
    prepare(participant)
    by_hand(east, "COMMIT")
    with pytest.raises(HeuristicOutcome, match="committed by hand"):
        participant.rollback(GID)


@pytest.mark.parametrize(("verb", "end"), [("COMMIT", "commit"), ("ROLLBACK", "rollback")])
def test_one_that_was_ended_by_hand_as_decided_is_well(
    east: Database, participant: PostgresParticipant, verb: str, end: str
) -> None:
    prepare(participant)
    by_hand(east, verb)
    getattr(participant, end)(GID)


def test_who_never_saw_a_branch_tells_that_it_was_committed_by_hand(
    east: Database, participant: PostgresParticipant
) -> None:
    prepare(participant)
    by_hand(east, "COMMIT")
    with closing(PostgresParticipant(east.url)) as successor:
        assert successor.recover() == []
        with pytest.raises(HeuristicOutcome, match="committed by hand"):
            successor.rollback(GID)


def test_a_successor_tells_of_what_it_had_seen(east: Database, participant: PostgresParticipant) -> None:
    prepare(participant)
    with closing(PostgresParticipant(east.url)) as successor:
        assert successor.recover("main.") == [GID]
        by_hand(east, "ROLLBACK")
        [error] = successor.resolve_many([GID], Outcome.COMMITTED)
        assert isinstance(error, HeuristicOutcome)


def test_what_others_prepared_is_not_seen(east: Database, participant: PostgresParticipant) -> None:
    names = ["_sa_1", "ringfence:main.1.1", "ringfence:main.1.1:0", "main.1.1"]
    with closing(psycopg.connect(east.url, autocommit=True)) as connection:
        for number, name in enumerate(names):
            connection.execute("BEGIN")
            connection.execute("INSERT INTO kept VALUES (%s, 0)", (number,))
            connection.execute(f"PREPARE TRANSACTION '{name}'")
    assert participant.recover() == []
    assert sorted(east.prepared()) == sorted(names)


def test_two_databases_of_one_server_stand_side_by_side(
    east: Database, west: Database, participant: PostgresParticipant
) -> None:
    with closing(PostgresParticipant(west.url)) as other:
        prepare(participant)
        prepare(other)
        prepare(other, OTHER, 2)
        assert participant.recover() == [GID]
        assert sorted(other.recover()) == [GID, OTHER]
        participant.rollback(GID)
        other.commit(GID)
        assert other.recover() == [OTHER]
        other.rollback(OTHER)
    assert [east.value(), west.value()] == [None, 1]


@pytest.mark.parametrize("ahead", [False, True])
def test_many_are_resolved_at_once(east: Database, participant: PostgresParticipant, ahead: bool) -> None:
    gids = [f"main.1.{number}" for number in range(1, 30)]
    for number, gid in enumerate(gids):
        prepare(participant, gid, number)
    east.ask(f"ROLLBACK PREPARED '{east.prepared()[0]}'")
    if ahead:
        receive = participant.send("resolve_many", gids, Outcome.COMMITTED)
        assert receive is not None
        errors = receive()
    else:
        errors = participant.resolve_many(gids, Outcome.COMMITTED)
    assert sum(error is not None for error in errors) == 1
    assert east.prepared() == []
    assert len(east.ask("SELECT * FROM kept")) == len(gids) - 1
    assert participant.resolve_many([], Outcome.ABORTED) == []


def test_a_server_that_prepares_nothing_is_refused_with_advice(private_server: PrivateServers) -> None:
    server = private_server(PostgreSQL(options={"max_prepared_transactions": 0}))
    with (
        closing(PostgresParticipant(server.url)) as participant,
        pytest.raises(BackendUnavailable, match="set max_prepared_transactions above 0"),
    ):
        participant.begin(GID)
