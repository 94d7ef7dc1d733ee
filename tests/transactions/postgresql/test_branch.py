"""What a branch does with the SQL of an application: nothing escapes the transaction, no failure is forgotten."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest

from ringfence.errors import Aborted, FenceRejected, InvalidType, InvalidValue
from ringfence.locks.guards.postgresql import PostgresGuard
from ringfence.transactions import Outcome, Vote
from ringfence.transactions.participants.postgresql import PostgresParticipant, sql
from ringfence.transactions.participants.postgresql.asynchronous import AsyncPostgresParticipant
from ringfence.transactions.participants.postgresql.branch import BaseBranch

from .databases import Database, read, write

GID, OTHER = "main.1.1", "main.1.2"
SERVERS = pytest.mark.servers
REFUSED = [
    "COMMIT",
    "  commit and chain",
    "END",
    "ROLLBACK",
    "abort",
    "BEGIN",
    "start transaction",
    "SAVEPOINT a",
    "RELEASE a",
    "PREPARE TRANSACTION 'x'",
    "-- why\nCOMMIT",
    "/* a /* b */ c */ COMMIT",
    ";;COMMIT",
    "/*",
    "SET search_path = other",
    "set session lock_timeout = 1",
    "RESET ALL",
    "LISTEN a",
    "DISCARD ALL",
    "COPY kept FROM STDIN",
]


@pytest.mark.parametrize("statement", [one for one in REFUSED if one != "/*"])
def test_what_would_end_or_outlast_the_transaction_is_refused(statement: str) -> None:
    with pytest.raises(InvalidValue):
        sql.may_only_read(statement)


@pytest.mark.parametrize(
    ("statement", "reads"),
    [
        ("SELECT 1", True),
        ("/* c */ (SELECT 1)", True),
        ("with a as (delete from kept returning 1) select * from a", True),
        ("/*", True),
        ("", True),
        ("UPDATE kept SET value = 1", False),
        ("SET LOCAL search_path = other", False),
        ("set transaction isolation level serializable", False),
        ("commitment()", False),
    ],
)
def test_what_may_only_read_is_found_by_the_first_word(statement: str, reads: bool) -> None:
    assert sql.may_only_read(statement) is reads


def test_sql_is_a_string() -> None:
    with pytest.raises(InvalidType):
        sql.may_only_read(b"SELECT 1")  # type: ignore[arg-type]


@pytest.fixture
def participant(east: Database) -> Iterator[PostgresParticipant]:
    with closing(PostgresParticipant(east.url, timeout=0.3)) as opened:
        yield opened


@SERVERS
@pytest.mark.parametrize("statement", ["COMMIT", "SELECT 1; COMMIT", "SELECT nothing"])
@pytest.mark.parametrize("end", ["prepare", "one_phase", "decide"])
def test_a_statement_that_failed_is_never_forgotten(
    east: Database, participant: PostgresParticipant, statement: str, end: str
) -> None:
    branch = participant.begin(GID)
    write(branch, 1)
    with suppress(InvalidValue, psycopg.Error):
        branch.execute(statement)
    with pytest.raises(Aborted):
        write(branch, 2)
    with pytest.raises(Aborted):
        getattr(participant, end)(GID)
    assert east.value() is None
    assert east.prepared() == []
    assert east.left_open() == 0


@SERVERS
def test_the_tag_of_prepare_is_compared(
    east: Database, participant: PostgresParticipant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseBranch, "ending", lambda _, *statements: [statements[-1]])
    branch = participant.begin(GID)
    with suppress(psycopg.Error):
        branch.execute("INSERT INTO missing VALUES (1)")
    branch.failed = None  # as a driver that forgets
    with pytest.raises(Aborted, match="answered b'ROLLBACK'"):
        participant.prepare(GID)


@SERVERS
def test_what_comes_later_fails_with_what_it_is_sent_with(
    east: Database, participant: PostgresParticipant
) -> None:
    branch = participant.begin(GID)
    branch.execute_later("INSERT INTO kept VALUES (1, 1)")
    branch.execute_later("INSERT INTO kept VALUES (1, 2)")
    with pytest.raises(Aborted, match="duplicate key"):
        participant.prepare(GID)
    branch = participant.begin(OTHER)
    branch.execute_later("INSERT INTO kept VALUES (%s, %s)", (1, 5))
    assert read(branch) == 5
    assert participant.prepare(OTHER) is Vote.YES
    participant.commit(OTHER)
    assert east.value() == 5


@SERVERS
def test_a_read_that_writes_is_no_read(east: Database, participant: PostgresParticipant) -> None:
    east.ask(
        "CREATE FUNCTION put() RETURNS int LANGUAGE sql AS 'INSERT INTO kept VALUES (1, 1) RETURNING value'"
    )
    branch = participant.begin(GID)
    branch.execute("SELECT * FROM kept")
    before = branch.wrote
    branch.execute("SELECT put()")
    assert (before, branch.wrote) == (False, True)
    assert participant.prepare(GID) is Vote.YES
    participant.commit(GID)
    assert east.value() == 1


@SERVERS
def test_values_and_rows_have_the_types_of_psycopg(participant: PostgresParticipant) -> None:
    values: list[Any] = [
        None,
        True,
        -5,
        2**40,
        1.5,
        decimal.Decimal("1.10"),
        "é %s",
        b"\0\xff",
        datetime.date(2020, 2, 29),
        uuid.UUID(int=7),
        [1, 2],
    ]
    branch = participant.begin(GID)
    columns = ", ".join(["%s"] * len(values))
    for _ in range(3):  # the statement is parsed once from the second time on
        assert branch.execute(f"SELECT {columns}", values) == [tuple(values)]
    assert branch.execute("SELECT %(a)s::int + %(b)s + %(a)s, '%%'", {"a": 1, "b": 2}) == [(4, "%")]
    assert branch.execute("SELECT '%'") == [("%",)]
    participant.rollback(GID)


@SERVERS
def test_many_rows_go_out_together(east: Database, participant: PostgresParticipant) -> None:
    branch = participant.begin(GID)
    assert (
        branch.executemany("INSERT INTO kept VALUES (%s, %s)", ((i, i) for i in range(1200))).rowcount == 1200
    )
    assert branch.execute("UPDATE kept SET value = 0 WHERE id < 10").rowcount == 10
    participant.one_phase(GID)
    assert east.ask("SELECT count(*) FROM kept") == [(1200,)]


@SERVERS
@pytest.mark.parametrize(
    ("statement", "values", "error"),
    [
        ("SELECT %s", (1, 2), InvalidValue),
        ("SELECT %s, %s", (1,), InvalidValue),
        ("SELECT %(a)s", {"b": 1}, InvalidValue),
        ("SELECT %d", (1,), InvalidValue),
        ("SELECT %s", "x", InvalidType),
        ("SELECT %s", (object(),), psycopg.ProgrammingError),
    ],
)
def test_parameters_that_do_not_fit_fail_the_branch(
    participant: PostgresParticipant, statement: str, values: Any, error: type[Exception]
) -> None:
    branch = participant.begin(GID)
    with pytest.raises(error):
        branch.execute(statement, values)
    with pytest.raises(Aborted):
        participant.prepare(GID)


@SERVERS
def test_a_lock_that_is_not_to_be_had_in_time_may_be_tried_again(participant: PostgresParticipant) -> None:
    write(participant.begin(GID), 1)
    with pytest.raises(Aborted) as error:
        write(participant.begin(OTHER), 2)
    assert error.value.retryable
    participant.rollback(GID)
    participant.rollback(OTHER)


@SERVERS
def test_of_two_in_a_deadlock_one_may_be_tried_again(east: Database) -> None:
    east.ask("INSERT INTO kept VALUES (1, 0), (2, 0)")
    with closing(PostgresParticipant(east.url, timeout=60)) as participant:
        branches = {gid: participant.begin(gid) for gid in (GID, OTHER)}
        write(branches[GID], 1, 1)
        write(branches[OTHER], 2, 2)
        errors: list[Aborted] = []

        def cross(gid: str, number: int) -> None:
            try:
                write(branches[gid], number, number)
                participant.one_phase(gid)
            except Aborted as error:
                errors.append(error)
                participant.rollback(gid)

        threads = [threading.Thread(target=cross, args=crossed) for crossed in ((GID, 2), (OTHER, 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [error.retryable for error in errors] == [True]
    assert east.left_open() == 0


@SERVERS
def test_a_serialization_failure_may_be_tried_again(east: Database) -> None:
    east.ask("INSERT INTO kept VALUES (1, 0)")
    url = f"{east.url}?options=-c%20default_transaction_isolation%3Dserializable"
    with closing(PostgresParticipant(url)) as participant:
        branch = participant.begin(GID)
        read(branch)
        write(participant.begin(OTHER), 5)
        participant.one_phase(OTHER)
        with pytest.raises(Aborted) as error:
            write(branch, 1)
        assert error.value.retryable


@SERVERS
def test_a_table_that_changed_meanwhile_may_be_tried_again(
    east: Database, participant: PostgresParticipant
) -> None:
    for seq in (1, 2, 3):
        participant.begin(f"main.1.{seq}").execute("SELECT * FROM kept")
        participant.prepare(f"main.1.{seq}")
    east.ask("ALTER TABLE kept ADD COLUMN more INTEGER")
    with pytest.raises(Aborted) as error:
        participant.begin("main.1.4").execute("SELECT * FROM kept")
    assert error.value.retryable
    participant.rollback("main.1.4")
    assert participant.begin("main.1.5").execute("SELECT * FROM kept") == []


@SERVERS
def test_fences_are_those_that_guards_of_locks_keep(east: Database, participant: PostgresParticipant) -> None:
    guard = PostgresGuard(east.url, "report")
    with guard.write(7):
        pass
    write(participant.begin(GID), 1)
    participant.guard(GID, "report", 6)
    with pytest.raises(FenceRejected) as error:
        participant.prepare(GID)
    assert (error.value.fence, error.value.mark) == (6, 7)
    write(participant.begin(OTHER), 2)
    participant.guard(OTHER, "report", 9)
    participant.prepare(OTHER)
    participant.commit(OTHER)
    assert guard.mark() == 9
    assert east.value() == 2


@SERVERS
def test_a_search_path_of_the_application_moves_no_table_of_ours(
    east: Database, participant: PostgresParticipant
) -> None:
    east.ask("CREATE SCHEMA other")
    branch = participant.begin(GID)
    branch.execute("SET LOCAL search_path = other")
    branch.execute("CREATE TABLE kept (id int, value int)")
    participant.one_phase(GID)
    assert participant.settled(GID) is Outcome.COMMITTED
    assert east.ask("SELECT state FROM public.ringfence_branch WHERE gid = %s", GID) == [("committed",)]


@SERVERS
def test_what_was_open_is_rolled_back_when_it_is_closed(east: Database) -> None:
    participant = PostgresParticipant(east.url)
    write(participant.begin(GID), 1)
    write(participant.begin(OTHER), 2, 2)
    participant.prepare(OTHER)
    participant.close()
    assert east.left_open() == 0
    with closing(PostgresParticipant(east.url)) as again:
        assert again.recover() == [OTHER]
        again.rollback(OTHER)
    assert [east.value(), east.value(2)] == [None, None]


@SERVERS
@pytest.mark.parametrize("end", ["one_phase", "decide"])
@pytest.mark.parametrize(("of", "told"), [("'off'", "on"), ("'local'", "local")])
def test_no_branch_commits_without_the_disk(
    east: Database, participant: PostgresParticipant, end: str, of: str, told: str
) -> None:
    east.ask("CREATE TABLE told (of TEXT)")
    east.ask(
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO told VALUES (current_setting('synchronous_commit')); RETURN NULL; END$$"
    )
    east.ask(
        "CREATE CONSTRAINT TRIGGER tell AFTER INSERT ON kept DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION tell()"
    )
    with closing(participant.decision_store()) as decisions:
        decisions.begin_epoch("main")
    branch = participant.begin(GID)
    branch.execute(f"SET LOCAL synchronous_commit = {of}")
    write(branch, 1)
    getattr(participant, end)(GID)
    assert east.ask("SELECT of FROM told") == [(told,)]


@SERVERS
async def test_two_tasks_at_once_are_told_so(east: Database) -> None:
    participant = AsyncPostgresParticipant(east.url)
    branch = await participant.begin(GID)
    await branch.execute("INSERT INTO kept VALUES (1, 1)")
    both = [branch.execute("SELECT pg_sleep(0.2)"), branch.execute("SELECT 1")]
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert (first, type(second)) == ([("",)], InvalidValue)
    waiting = asyncio.ensure_future(branch.execute("SELECT pg_sleep(0.2)"))
    await asyncio.sleep(0)
    with pytest.raises(InvalidValue, match=GID):
        await participant.one_phase(GID)
    await waiting
    await participant.one_phase(GID)
    await participant.close()
    assert east.value() == 1


@SERVERS
async def test_a_task_learns_that_its_branch_was_rolled_back(east: Database) -> None:
    participant = AsyncPostgresParticipant(east.url)
    branch = await participant.begin(GID)
    waiting = asyncio.ensure_future(branch.execute("SELECT pg_sleep(60)"))
    await asyncio.sleep(0)
    await participant.rollback(GID)
    with pytest.raises(Aborted):
        await asyncio.wait_for(waiting, 30)
    await participant.close()


@SERVERS
def test_a_gid_that_was_used_before_is_refused(participant: PostgresParticipant) -> None:
    for value in (1, 2):
        write(participant.begin(GID), value)
        if value == 1:
            participant.prepare(GID)
            participant.commit(GID)
    with pytest.raises(Aborted, match="was used before"):
        participant.prepare(GID)
