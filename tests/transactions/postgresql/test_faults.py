"""Servers that die, connections that break and answers that get lost: all or nothing, and nothing is left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from ringfence._postgresql.line import Line
from ringfence._postgresql.pool import MOST
from ringfence._postgresql.statement import once
from ringfence.errors import Aborted, InDoubt, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.testing.proxy import TO_SERVER, Proxy
from ringfence.testing.servers import PostgreSQL
from ringfence.transactions import Outcome, TransactionManager, Vote
from ringfence.transactions.decisions.postgresql import PostgresDecisions
from ringfence.transactions.participants.postgresql import PostgresParticipant, prepared
from tests.locks.waiters import wait_until

from .databases import Database, read, write

pytestmark = pytest.mark.servers
GID, OTHER = "main.1.1", "main.1.2"


@pytest.fixture
def participant(east: Database, proxy: Proxy) -> Iterator[PostgresParticipant]:
    """A participant that reaches its database through a proxy."""
    with closing(PostgresParticipant(east.through(proxy), timeout=1)) as opened:
        yield opened


def lose(proxy: Proxy, what: str) -> None:
    """Lose the next request, or the answer to it."""
    if what == "request":
        proxy.cut_after(0, TO_SERVER)
    else:
        proxy.lose_reply()


LOST = pytest.mark.parametrize("what", ["request", "answer"])


def nothing_is_left(database: Database) -> bool:
    """Wait until the server has noticed what broke; then is nothing prepared, open or locked?"""
    wait_until(lambda: database.left_open() == 0 and database.locked() == 0)
    return database.prepared() == []


@LOST
def test_a_statement_whose_connection_breaks_aborts_and_may_be_tried_again(
    east: Database, participant: PostgresParticipant, proxy: Proxy, what: str
) -> None:
    branch = participant.begin(GID)
    write(branch, 1)
    lose(proxy, what)
    with pytest.raises(Aborted) as error:
        write(branch, 2)
    assert error.value.retryable
    with pytest.raises(Aborted):
        participant.prepare(GID)
    assert nothing_is_left(east)
    write(participant.begin(OTHER), 3)
    participant.one_phase(OTHER)
    assert east.value() == 3


@LOST
def test_a_vote_that_gets_lost_is_given_up(
    east: Database, participant: PostgresParticipant, proxy: Proxy, what: str
) -> None:
    write(participant.begin(GID), 1)
    lose(proxy, what)
    with pytest.raises(OutcomeUnknown):
        participant.prepare(GID)
    assert len(east.prepared()) == (what == "answer")
    participant.rollback(GID)
    assert nothing_is_left(east)
    assert east.value() is None
    assert participant.settled(GID) is Outcome.ABORTED


@pytest.fixture
def impatient(east: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresParticipant]:
    """A participant that soon gives up waiting, on a database whose ends wait for a row in the table `go`."""
    east.ask("CREATE TABLE go (id INTEGER)")
    east.ask(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
        "WHILE NOT EXISTS (SELECT FROM go) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN NULL; END$$"
    )
    east.ask(
        "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON kept DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION wait()"
    )
    monkeypatch.setattr(prepared, "_SLACK", 0.2)
    with closing(PostgresParticipant(east.url, timeout=0.3)) as opened:
        opened.recover()
        monkeypatch.undo()
        try:
            yield opened
        finally:
            east.ask("INSERT INTO go VALUES (1)")


def is_rolled_back(participant: PostgresParticipant) -> bool:
    """Ask for it once more; could it be?"""
    try:
        participant.rollback(GID)
    except StoreError:
        return False
    return True


def test_a_vote_that_is_still_under_way_is_ruled_out(east: Database, impatient: PostgresParticipant) -> None:
    write(impatient.begin(GID), 1)
    with pytest.raises(OutcomeUnknown):
        impatient.prepare(GID)
    with pytest.raises(StoreTimeout):
        impatient.rollback(GID)
    east.ask("INSERT INTO go VALUES (1)")
    wait_until(lambda: is_rolled_back(impatient))
    assert nothing_is_left(east)
    assert impatient.settled(GID) is Outcome.ABORTED


def test_a_vote_that_nobody_waited_for_is_ruled_out(east: Database, impatient: PostgresParticipant) -> None:
    write(impatient.begin(GID), 1)
    answer = impatient.send("prepare", GID)
    with pytest.raises(StoreTimeout):
        impatient.rollback(GID)
    east.ask("INSERT INTO go VALUES (1)")
    wait_until(lambda: is_rolled_back(impatient))
    del answer
    assert nothing_is_left(east)
    assert impatient.settled(GID) is Outcome.ABORTED
    assert impatient._pool._free._value == MOST


def test_an_answer_that_is_dropped_ends_its_branch(east: Database, participant: PostgresParticipant) -> None:
    write(participant.begin(GID), 1)
    answer = participant.send("prepare", GID)
    del answer
    assert participant._pool._free._value == MOST
    wait_until(lambda: is_rolled_back(participant))
    assert nothing_is_left(east)
    assert east.value() is None


def test_a_connection_with_an_unread_answer_is_closed(east: Database) -> None:
    line = Line.open(east.url, 5)
    line.send("ask", [once("SELECT 1")])
    with pytest.raises(OutcomeUnknown, match="unread"):
        line.ask([once("SELECT 2")])
    assert line.closed


def test_a_session_that_the_server_ends_aborts_and_may_be_tried_again(
    participant: PostgresParticipant,
) -> None:
    branch = participant.begin(GID)
    branch.execute("SET LOCAL idle_in_transaction_session_timeout = 50")
    wait_until(lambda: not branch.line.is_sound())
    with pytest.raises(Aborted) as error:
        write(branch, 1)
    assert error.value.retryable


@LOST
@pytest.mark.parametrize(("end", "value"), [("commit", 1), ("rollback", None)])
def test_an_end_that_gets_lost_is_asked_for_again(
    east: Database, participant: PostgresParticipant, proxy: Proxy, what: str, end: str, value: int | None
) -> None:
    write(participant.begin(GID), 1)
    participant.prepare(GID)
    lose(proxy, what)
    with pytest.raises(OutcomeUnknown):
        getattr(participant, end)(GID)
    getattr(participant, end)(GID)
    assert nothing_is_left(east)
    assert east.value() == value


@LOST
def test_a_one_phase_commit_that_gets_lost_is_settled(
    east: Database, participant: PostgresParticipant, proxy: Proxy, what: str
) -> None:
    write(participant.begin(GID), 1)
    lose(proxy, what)
    with pytest.raises(OutcomeUnknown):
        participant.one_phase(GID)
    happened = what == "answer"
    assert participant.settle(GID) is (Outcome.COMMITTED if happened else Outcome.ABORTED)
    assert nothing_is_left(east)
    assert east.value() == (1 if happened else None)


@LOST
def test_a_decision_that_gets_lost_stands_or_never_will(
    east: Database, participant: PostgresParticipant, proxy: Proxy, what: str
) -> None:
    with closing(PostgresDecisions(east.url)) as decisions:
        decisions.begin_epoch("main")
        write(participant.begin(GID), 1)
        lose(proxy, what)
        with pytest.raises(OutcomeUnknown):
            participant.decide(GID)
        happened = what == "answer"
        standing = decisions.put_if_absent(GID, Outcome.ABORTED)
        assert standing is (Outcome.COMMITTED if happened else Outcome.ABORTED)
        assert nothing_is_left(east)
        assert east.value() == (1 if happened else None)


@LOST
def test_a_put_that_gets_lost_is_asked_for_again(east: Database, proxy: Proxy, what: str) -> None:
    with closing(PostgresDecisions(east.through(proxy))) as decisions:
        decisions.begin_epoch("main")
        lose(proxy, what)
        with pytest.raises(OutcomeUnknown):
            decisions.put_if_absent(GID, Outcome.COMMITTED)
        assert decisions.get(GID) == (Outcome.COMMITTED if what == "answer" else None)
        assert decisions.put_if_absent(GID, Outcome.COMMITTED) is Outcome.COMMITTED


def test_a_put_does_not_wait_for_ever_behind_a_marker(east: Database) -> None:
    with (
        closing(PostgresDecisions(east.url, timeout=0.2)) as decisions,
        closing(PostgresParticipant(east.url)) as participant,
    ):
        decisions.begin_epoch("main")
        participant.begin(GID).execute("INSERT INTO ringfence_decision VALUES (%s, 'committed')", (GID,))
        with pytest.raises(StoreTimeout):
            decisions.put_if_absent(GID, Outcome.ABORTED)
        participant.rollback(GID)
        assert decisions.put_if_absent(GID, Outcome.ABORTED) is Outcome.ABORTED


@pytest.mark.parametrize(("end", "value"), [("commit", 1), ("rollback", None)])
def test_a_server_killed_between_the_phases_keeps_what_was_prepared(
    east: Database, server: PostgreSQL, end: str, value: int | None
) -> None:
    with closing(PostgresParticipant(east.url)) as participant:
        write(participant.begin(GID), 1)
        write(participant.begin(OTHER), 2, 2)
        assert participant.prepare(GID) is Vote.YES
        server.kill()
        with pytest.raises(StoreError):
            participant.recover()
        with pytest.raises((Aborted, StoreError)):
            participant.prepare(OTHER)
        server.start()
        assert participant.recover() == [GID]
        getattr(participant, end)(GID)
        assert nothing_is_left(east)
        assert [east.value(), east.value(2)] == [value, None]


def test_a_server_that_is_silent_is_not_waited_for_for_ever(
    east: Database, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "_SLACK", 0.2)
    with closing(PostgresParticipant(east.url, timeout=0.3)) as participant:
        write(participant.begin(GID), 1)
        server.pause()
        try:
            with pytest.raises(OutcomeUnknown):
                participant.prepare(GID)
        finally:
            server.resume()
    with closing(PostgresParticipant(east.url)) as later:  # what was on its way may come after the first look
        wait_until(lambda: east.left_open() == 0)
        for gid in later.recover():
            later.rollback(gid)
        assert nothing_is_left(east)
        assert east.value() is None


def test_a_forked_child_leaves_all_to_its_parent(east: Database) -> None:
    with closing(PostgresParticipant(east.url)) as participant:
        branch = participant.begin(GID)
        write(branch, 1)
        prepared_branch = participant.begin(OTHER)
        write(prepared_branch, 2, 2)
        participant.prepare(OTHER)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with suppress(Aborted):
                    write(branch, 7)
                    os._exit(2)
                write(participant.begin("main.1.3"), 3, 3)
                participant.one_phase("main.1.3")
                participant.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert read(branch) == 1
        participant.one_phase(GID)
        participant.commit(OTHER)
        assert [east.value(number) for number in (1, 2, 3)] == [1, 2, 3]
        assert nothing_is_left(east)


def transfer(tm: TransactionManager) -> None:
    """Write the same value on both sides."""
    with tm.transaction() as tx:
        write(tx["east"], 1)
        write(tx["west"], 1)


def run_losing(tm: TransactionManager) -> str:
    """Say how a transaction ended for who ran it."""
    try:
        transfer(tm)
    except Aborted:
        return "aborted"
    except (InDoubt, StoreError):
        return "unknown"
    return "committed"


def after(databases: list[Database]) -> list[Any]:
    """What both sides say when recovery is done."""
    stores: dict[str, Any] = {database.name: PostgresParticipant(database.url) for database in databases}
    with TransactionManager(PostgresDecisions(databases[0].url), stores) as tm:
        wait_until(lambda: all(database.left_open() == 0 for database in databases))
        assert not tm.recover().unresolved
        assert len(tm.recover()) == 0
    assert all(nothing_is_left(database) for database in databases)
    return [database.value() for database in databases]


@pytest.mark.parametrize("number", range(1, 9))
def test_whichever_answer_is_lost_it_happens_on_both_sides_or_on_none(
    east: Database, west: Database, proxy: Proxy, number: int
) -> None:
    stores: dict[str, Any] = {
        "east": PostgresParticipant(east.through(proxy), timeout=2),
        "west": PostgresParticipant(west.through(proxy), timeout=2),
    }
    with TransactionManager(PostgresDecisions(east.through(proxy), timeout=2), stores) as tm:
        with tm.transaction() as tx:  # so that all connections are there
            write(tx["east"], 0)
            write(tx["west"], 0)
        proxy.lose_reply(number)
        told = run_losing(tm)
    values = after([east, west])
    assert values in ([1, 1], [0, 0])
    assert told == "unknown" or values == ([1, 1] if told == "committed" else [0, 0])
