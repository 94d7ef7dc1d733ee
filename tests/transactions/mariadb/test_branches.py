"""What a branch in MariaDB may run, what its errors mean, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pymysql
import pytest

from ringfence.errors import Aborted, BackendUnavailable, InvalidType, InvalidValue
from ringfence.protocol import Call
from ringfence.transactions import Outcome, TransactionManager, Vote
from ringfence.transactions.participants import from_url
from ringfence.transactions.participants.mariadb import AsyncMariaParticipant, MariaParticipant
from ringfence.transactions.participants.mariadb.statements import is_read

from .databases import Databases, name_of, put

GID, OTHER = "main.1.1", "main.1.2"


@pytest.fixture
def url(databases: Databases) -> str:
    return databases.new()


@pytest.fixture
def participant(url: str) -> Iterator[MariaParticipant]:
    with closing(MariaParticipant(url, timeout=5)) as opened:
        yield opened


def test_rows_counts_and_numbers_come_as_from_other_participants(
    databases: Databases, url: str, participant: MariaParticipant
) -> None:
    databases.ask(name_of(url), "CREATE TABLE numbered (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(20))")
    branch = participant.begin(GID)
    first = branch.execute("INSERT INTO numbered (text) VALUES (%s)", ("100 % %s ' \\ ☃",))
    assert (first.rowcount, first.lastrowid, list(first)) == (1, 1, [])
    many = branch.executemany("INSERT INTO numbered (text) VALUES (%s)", ((str(n),) for n in range(250)))
    assert (many.rowcount, many.lastrowid) == (250, 251)
    assert branch.execute("SELECT text FROM numbered WHERE id = %(id)s", {"id": 1}) == [("100 % %s ' \\ ☃",)]
    assert branch.execute("SELECT COUNT(*) FROM numbered WHERE text LIKE '1%'") == [(112,)]
    participant.rollback(GID)


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        "rollback",
        "/* hidden */ -- so\n # and so\n COMMIT",
        "/*! COMMIT */",
        "/*M! COMMIT */",
        "BEGIN",
        "START TRANSACTION",
        "SAVEPOINT a",
        "XA END 'a'",
        "SET autocommit = 1",
        "CREATE TABLE other (id INT)",
        "TRUNCATE item",
        "LOCK TABLES item WRITE",
        "",
    ],
)
def test_what_would_end_or_outlive_the_transaction_is_refused(sql: str) -> None:
    with pytest.raises(InvalidValue, match="a branch runs"):
        is_read(sql)


def test_queries_are_told_from_changes() -> None:
    for sql in ("SELECT 1", " (select 1)", "/* a */ WITH x AS (SELECT 1) SELECT * FROM x", "show tables"):
        assert is_read(sql)
    for sql in ("INSERT INTO item VALUES (1, 1)", "-- so\nupdate item SET value = 1", "DO 1"):
        assert not is_read(sql)
    with pytest.raises(InvalidType):
        is_read(b"SELECT 1")  # type: ignore[arg-type]


def test_only_one_statement_is_taken_at_a_time(participant: MariaParticipant) -> None:
    branch = participant.begin(GID)
    put(branch, 1)
    with pytest.raises(pymysql.ProgrammingError):
        branch.execute("SELECT 1; COMMIT")
    with pytest.raises(Aborted, match="a statement failed"):
        participant.prepare(GID)
    participant.rollback(GID)


def test_a_refused_statement_makes_the_branch_vote_against(participant: MariaParticipant) -> None:
    branch = participant.begin(GID)
    put(branch, 1)
    with pytest.raises(InvalidValue):
        branch.execute("COMMIT")
    with pytest.raises(Aborted):
        branch.execute("SELECT 1")
    with pytest.raises(Aborted):
        participant.one_phase(GID)
    participant.rollback(GID)


def test_mariadb_itself_would_prepare_what_is_left_after_an_error(databases: Databases, url: str) -> None:
    """Why a branch remembers its errors."""
    connection = databases.connect(name_of(url))
    with connection, connection.cursor() as cursor:
        cursor.execute("XA START 'a'")
        cursor.execute("INSERT INTO item VALUES (1, 1)")
        with pytest.raises(pymysql.IntegrityError):
            cursor.execute("INSERT INTO item VALUES (1, 2)")
        cursor.execute("XA END 'a'")
        cursor.execute("XA PREPARE 'a'")
        cursor.execute("XA COMMIT 'a'")
    assert databases.value(url) == 1


def test_a_query_whose_function_writes_is_a_write(
    databases: Databases, url: str, participant: MariaParticipant
) -> None:
    body = "BEGIN REPLACE INTO item VALUES (1, 7); RETURN 1; END"
    function = f"CREATE FUNCTION noted() RETURNS INT MODIFIES SQL DATA {body}"
    databases.ask(name_of(url), function, "CREATE VIEW notes AS SELECT noted() AS done")
    branch = participant.begin(GID)
    wrote = []
    for table in ("item", "notes"):
        branch.execute(f"SELECT * FROM {table}")
        wrote.append(branch.wrote)
    assert wrote == [False, True]
    assert participant.prepare(GID) is Vote.YES
    participant.commit(GID)
    assert databases.value(url) == 7


def test_a_lock_that_is_not_to_be_had_in_time_may_be_tried_again(url: str) -> None:
    with closing(MariaParticipant(url, timeout=1)) as participant:
        put(participant.begin(GID), 1)
        other = participant.begin(OTHER)
        with pytest.raises(Aborted) as raised:
            put(other, 2)
        assert raised.value.retryable
        with pytest.raises(Aborted) as again:
            participant.prepare(OTHER)
        assert again.value.retryable
        participant.rollback(OTHER)
        participant.one_phase(GID)


def test_of_two_that_wait_for_each_other_one_may_be_tried_again(url: str) -> None:
    with closing(MariaParticipant(url, timeout=30)) as participant:
        branches = [participant.begin(GID), participant.begin(OTHER)]
        for number, branch in enumerate(branches):
            put(branch, 1, number)
        failed: list[Aborted] = []

        def cross(number: int) -> None:
            try:
                put(branches[number], 2, 1 - number)
            except Aborted as error:
                failed.append(error)

        threads = [threading.Thread(target=cross, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [error.retryable for error in failed] == [True]
        for gid in (GID, OTHER):
            participant.rollback(gid)


def test_a_statement_that_reaches_no_branch_changes_nothing(
    databases: Databases, url: str, participant: MariaParticipant
) -> None:
    """The server refuses XA START, and the statement that was sent with it is there already."""
    put(participant.begin(GID), 1)
    with closing(MariaParticipant(url, timeout=5)) as other:
        with pytest.raises(Aborted, match="XAER_DUPID"):
            put(other.begin(GID), 2, 2)
        with pytest.raises(Aborted):
            other.prepare(GID)
        other.rollback(GID)
    assert databases.value(url, 2) is None
    participant.one_phase(GID)
    assert (databases.value(url), databases.value(url, 2)) == (1, None)


def test_a_gid_that_was_used_before_is_refused(participant: MariaParticipant) -> None:
    put(participant.begin(GID), 1)
    participant.prepare(GID)
    participant.commit(GID)
    put(participant.begin(GID), 2)
    with pytest.raises(Aborted, match="was used before"):
        participant.prepare(GID)
    participant.rollback(GID)


def test_the_server_ends_sessions_that_stand_still_in_a_transaction(participant: MariaParticipant) -> None:
    branch = participant.begin(GID)
    assert branch.execute("SELECT @@idle_transaction_timeout") == [(600,)]
    participant.rollback(GID)


def test_names_of_any_length_fit(databases: Databases, participant: MariaParticipant, url: str) -> None:
    gid = f"{'n' * 40}.{'9' * 18}.{'8' * 18}"
    put(participant.begin(gid), 1)
    assert participant.prepare(gid) is Vote.YES
    assert participant.recover("n") == [gid]
    participant.commit(gid)
    assert databases.value(url) == 1


def test_bad_arguments_are_refused_before_anything_is_opened() -> None:
    with pytest.raises(InvalidValue, match="names no database"):
        MariaParticipant("mariadb://root@127.0.0.1:1/")
    participant = MariaParticipant("mysql://root@127.0.0.1:1/test")
    with pytest.raises(InvalidValue, match="is not a gid"):
        participant.begin("'; DROP TABLE item; --")
    with pytest.raises(InvalidValue, match="is not a gid"):
        participant.commit("'; DROP TABLE item; --")
    with pytest.raises(BackendUnavailable):
        participant.begin(GID).execute("SELECT 1")
    participant.close()


def test_one_database_cannot_take_part_under_two_names(url: str) -> None:
    with pytest.raises(InvalidValue, match="the same store"):
        TransactionManager("memory://", {"east": url, "west": url})


def test_urls_name_it(url: str) -> None:
    opened = from_url(url, 1.0)
    assert isinstance(opened, MariaParticipant)
    opened.close()
    also = from_url(url.replace("mariadb:", "mysql:"), 1.0)
    assert also.recover() == []
    also.close()


def test_nothing_is_left_open_in_the_server(databases: Databases, participant: MariaParticipant) -> None:
    for seq, end in enumerate(("commit", "rollback", "one_phase", "nothing"), 1):
        gid = f"main.1.{seq}"
        put(participant.begin(gid), seq)
        if end in ("commit", "rollback"):
            participant.prepare(gid)
        if end == "nothing":
            participant.rollback(gid)
        else:
            getattr(participant, end)(gid)
    until = time.monotonic() + 30  # sessions of earlier tests may still be ending
    while databases.ask("", "SELECT * FROM information_schema.innodb_trx") and time.monotonic() < until:
        time.sleep(0.1)
    assert databases.ask("", "SELECT * FROM information_schema.innodb_trx") == []
    assert databases.prepared() == []
    assert len(participant._sessions._sessions) == 1


def test_a_forked_child_leaves_the_branches_of_its_parent_alone(
    databases: Databases, url: str, participant: MariaParticipant
) -> None:
    branch = participant.begin(GID)
    put(branch, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = _in_child(participant, branch)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert participant.prepare(GID) is Vote.YES
    participant.commit(GID)
    assert databases.value(url) == 1
    assert databases.value(url, 2) == 2


def _in_child(participant: MariaParticipant, inherited: object) -> int:
    for ask in (lambda: put(inherited, 9), lambda: participant.prepare(GID)):
        try:
            ask()
        except Aborted:
            continue
        return 2
    put(participant.begin("child.1.1"), 2, 2)
    participant.one_phase("child.1.1")
    settled = participant.settled("child.1.1")
    participant.close()
    return 0 if settled is Outcome.COMMITTED else 3


async def test_two_tasks_at_once_are_told_so(databases: Databases, url: str) -> None:
    participant = AsyncMariaParticipant(url)
    branch = await participant.begin(GID)
    await branch.execute("INSERT INTO item VALUES (1, 1)")
    both = [branch.execute("SELECT SLEEP(0.2)"), branch.execute("SELECT 1")]
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert (first, type(second)) == ([(0,)], InvalidValue)
    waiting = asyncio.ensure_future(branch.execute("SELECT SLEEP(0.2)"))
    await asyncio.sleep(0)
    with pytest.raises(InvalidValue, match=GID):
        await participant.one_phase(GID)
    await waiting
    await participant.one_phase(GID)
    await participant.close()
    assert databases.value(url) == 1


def test_rows_of_branches_are_kept_for_a_day(databases: Databases, url: str) -> None:
    with closing(MariaParticipant(url)) as first, closing(MariaParticipant(url)) as second:
        put(first.begin(GID), 1)
        first.prepare(GID)
        assert second.recover() == [GID]
        first.commit(GID)
        databases.ask(name_of(url), "UPDATE ringfence_branch SET at = NOW() - INTERVAL 23 HOUR")
        first.recover()
        second.commit(GID)
        databases.ask(name_of(url), "UPDATE ringfence_branch SET at = NOW() - INTERVAL 25 HOUR")
        first.recover()
        assert databases.ask(name_of(url), "SELECT * FROM ringfence_branch") == []


def test_of_two_that_make_a_mark_first_one_may_be_tried_again(
    databases: Databases, url: str, participant: MariaParticipant
) -> None:
    databases.ask("", "SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED")
    try:
        put(participant.begin(GID), 1)
    finally:
        databases.ask("", "SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    participant.guard(GID, "report", 7)
    row = "INSERT INTO ringfence_guard VALUES ('report', 3)"
    with pytest.raises(Aborted) as error:
        prepare_behind(participant, lambda: databases.ask(name_of(url), row))
    assert error.value.retryable
    participant.rollback(GID)


def prepare_behind(participant: MariaParticipant, other: Callable[[], object]) -> None:
    """Prepare, while somebody else does something once the marks were read."""
    steps = participant.preparing(GID)
    value = None
    with suppress(StopIteration):
        while True:
            effect = steps.send(value)
            assert isinstance(effect, Call)
            value = getattr(effect.target, effect.operation)(*effect.args)
            if b"FOR UPDATE" in b"".join(request.encoded() for request in effect.args[0]):
                other()
