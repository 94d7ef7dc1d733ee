"""What a prepared branch commits is what its application saw, to the byte."""

import enum
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.errors import Aborted, HeuristicOutcome, InvalidType, InvalidValue
from ringfence.transactions.participants.sqlite import SqliteBranch, SqliteParticipant, redo

GID = "main.1.1"
SCHEMA = """
    CREATE TABLE t (
        id INTEGER PRIMARY KEY, x, stamp DEFAULT CURRENT_TIMESTAMP, day DEFAULT CURRENT_DATE,
        hour DEFAULT CURRENT_TIME, die DEFAULT (random()), exact DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
        year TEXT GENERATED ALWAYS AS (strftime('%Y', stamp)) VIRTUAL);
    CREATE INDEX t_day ON t (date(stamp));
    CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT, of INTEGER, said, changed);
    CREATE TRIGGER t_log AFTER INSERT ON t BEGIN
        INSERT INTO log (of, said, changed) VALUES (last_insert_rowid(), randomblob(4), changes());
    END;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.executescript(SCHEMA)
    connection.close()
    return tmp_path / "a.db"


@pytest.fixture
def participant(path: Path) -> Iterator[SqliteParticipant]:
    participant = SqliteParticipant(path, timeout=0.1)
    yield participant
    participant.close()


def content(path: Path) -> list[Any]:
    connection = sqlite3.connect(path)
    tables = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'ringfence%' ORDER BY name"
        )
    ]
    rows = [(table, connection.execute(f"SELECT * FROM {table}").fetchall()) for table in tables]
    connection.close()
    return rows


def everything(branch: SqliteBranch) -> list[Any]:
    tables = [
        name
        for (name,) in branch.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'ringfence%' ORDER BY name"
        )
    ]
    return [(table, list(branch.execute(f"SELECT * FROM {table}"))) for table in tables]


STATEMENTS = {
    "defaults": ["INSERT INTO t (x) VALUES (1), (2), (3)"],
    "random": ["INSERT INTO t (x) SELECT random() FROM (VALUES (1), (2), (3))"],
    "randomblob": ["INSERT INTO t (x) VALUES (randomblob(16)), (hex(randomblob(16))), (randomblob(-1))"],
    "now": ["INSERT INTO t (x) VALUES (datetime('now')), (julianday('NOW')), (unixepoch('now')), (date()), (time())"],
    "local": ["INSERT INTO t (x) VALUES (datetime('now', 'localtime')), (datetime('2024-01-01', 'utc'))"],
    "formats": ["INSERT INTO t (x) VALUES (strftime('%s')), (strftime('%f', 'now', '+1 day')), (strftime('%H'))"],
    "order": ["INSERT INTO t (x) VALUES (1), (2), (3)", "UPDATE t SET x = (SELECT x FROM t ORDER BY random() LIMIT 1)"],
    "rowid": ["INSERT INTO t (x) VALUES (last_insert_rowid())", "INSERT INTO t (x) VALUES (last_insert_rowid() + 5)"],
    "changes": ["INSERT INTO t (x) VALUES (changes())", "UPDATE t SET x = 7", "INSERT INTO t (x) VALUES (changes())"],
    "nothing": ["INSERT INTO t (x) VALUES (1)", "UPDATE t SET x = 1 WHERE 0", "INSERT INTO t (x) VALUES (changes())"],
    "reads between": ["SELECT random()", "INSERT INTO t (x) VALUES (random())", "SELECT datetime('now'), random()"],
    "ddl": ["CREATE TABLE u (a, b DEFAULT (random()))", "INSERT INTO u (a) VALUES (1), (2)", "CREATE INDEX i ON u (a)"],
    "alter": ["ALTER TABLE log ADD COLUMN more DEFAULT 3", "INSERT INTO t (x) VALUES (1)", "ALTER TABLE t RENAME TO w"],
    "as select": ["INSERT INTO t (x) VALUES (1)", "CREATE TABLE copy AS SELECT *, random() AS r FROM t"],
    "with": ["WITH s (n) AS (VALUES (1), (2)) INSERT INTO t (x) SELECT n FROM s"],
    "replace": ["INSERT INTO t (id, x) VALUES (1, 1)", "REPLACE INTO t (id, x) VALUES (1, 2)"],
    "upsert": ["INSERT INTO t (id, x) VALUES (1, 1)",
               "INSERT INTO t (id, x) VALUES (1, 2) ON CONFLICT DO UPDATE SET x = random()"],
    "returning": ["INSERT INTO t (x) VALUES (1) RETURNING id, stamp, die"],
    "comments": ["/* a */ -- b\n INSERT INTO t (x) VALUES (1) -- c"],
}  # fmt: skip


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_commit_is_what_the_application_saw(
    participant: SqliteParticipant, path: Path, name: str
) -> None:
    before = content(path)
    warm = participant.begin("main.1.9")  # leaves last_insert_rowid() and changes() behind on the connection
    warm.executemany("INSERT INTO log (of) VALUES (?)", [(1,), (2,)])
    participant.rollback("main.1.9")
    branch = participant.begin(GID)
    for sql in STATEMENTS[name]:
        branch.execute(sql)
    seen = everything(branch)
    participant.prepare(GID)
    assert content(path) == before
    time.sleep(0.002)
    other = SqliteParticipant(path)
    other.commit(GID)
    other.close()
    assert content(path) == seen != before


def test_now_stands_still_in_a_branch(participant: SqliteParticipant) -> None:
    branch = participant.begin(GID)
    first = branch.execute("SELECT strftime('%f', 'now'), julianday('now'), CURRENT_TIMESTAMP")
    time.sleep(0.005)
    assert branch.execute("SELECT strftime('%f', 'now'), julianday('now'), CURRENT_TIMESTAMP") == first
    participant.rollback(GID)
    time.sleep(0.005)
    again = participant.begin("main.1.2").execute("SELECT strftime('%f', 'now'), julianday('now')")
    assert again != [first[0][:2]]


def test_now_may_be_a_blob(participant: SqliteParticipant) -> None:
    branch = participant.begin(GID)
    [(first,)] = branch.execute("SELECT julianday('now')")
    time.sleep(0.005)
    assert branch.execute("SELECT julianday(CAST('NOW' AS BLOB))") == [(first,)]


def test_now_is_now(participant: SqliteParticipant) -> None:
    [(days,)] = participant.begin(GID).execute("SELECT julianday('now')")
    assert abs((days - 2440587.5) * 86400 - time.time()) < 5


@pytest.mark.parametrize(
    "asked",
    ["date('2024-02-29', '+1 year')", "strftime('%j', 0)", "time(NULL)", "date('nonsense')", "julianday(2460000.5)",
     "datetime(1700000000, 'unixepoch')", "datetime('now') = CURRENT_TIMESTAMP", "length(randomblob(9))"],
)  # fmt: skip
def test_dates_are_those_of_sqlite(participant: SqliteParticipant, asked: str) -> None:
    plain = sqlite3.connect(":memory:")
    expected = plain.execute(f"SELECT {asked}").fetchone()
    plain.close()
    assert participant.begin(GID).execute(f"SELECT {asked}") == [expected]


VALUES = [
    None,
    True,
    0,
    -(2**63),
    2**63 - 1,
    0.1,
    -0.0,
    float("inf"),
    "",
    "é\0\ud7ff",
    b"",
    b"\0\xff",
    "{'$': 1}",
]


@pytest.mark.parametrize("value", VALUES)
def test_parameters_are_kept(participant: SqliteParticipant, path: Path, value: object) -> None:
    branch = participant.begin(GID)
    branch.execute("INSERT INTO t (id, x) VALUES (1, ?)", (value,))
    branch.execute("INSERT INTO t (id, x) VALUES (2, :x)", {"x": value})
    branch.executemany("INSERT INTO t (id, x) VALUES (?, ?)", iter([(3, value), [4, value]]))
    branch.executemany("INSERT INTO t (id, x) VALUES (:id, :x)", [{"id": 5, "x": value}])
    seen = everything(branch)
    participant.prepare(GID)
    participant.commit(GID)
    assert content(path) == seen


def test_parameters_are_copied(participant: SqliteParticipant, path: Path) -> None:
    branch = participant.begin(GID)
    value = bytearray(b"before")
    branch.execute("INSERT INTO t (x) VALUES (?)", [value])
    branch.execute("INSERT INTO t (x) VALUES (?)", (memoryview(b"view"),))
    value[:] = b"after "
    participant.prepare(GID)
    participant.commit(GID)
    assert [row[1] for row in content(path)[2][1]] == [b"before", b"view"]


class Colour(enum.StrEnum):
    RED = "red"


def test_parameters_are_kept_as_they_were_adapted(participant: SqliteParticipant, path: Path) -> None:
    """Whoever commits, perhaps a recovery in another process, may have other adapters."""
    sqlite3.register_adapter(Colour, lambda colour: colour.name)
    sqlite3.register_adapter(bool, lambda value: "yes" if value else "no")
    try:
        branch = participant.begin(GID)
        branch.execute("INSERT INTO t (x) VALUES (?), (?)", (Colour.RED, True))
        seen = everything(branch)
        participant.prepare(GID)
    finally:
        for kind in (Colour, bool):
            del sqlite3.adapters[kind, sqlite3.PrepareProtocol]
    participant.commit(GID)
    assert content(path) == seen
    assert [row[1] for row in seen[2][1]] == ["RED", "yes"]


@pytest.mark.parametrize("unused", ["$", "", 1])
def test_names_that_are_not_used_do_no_harm(participant: SqliteParticipant, path: Path, unused: str) -> None:
    branch = participant.begin(GID)
    branch.execute("INSERT INTO t (x) VALUES (:x)", {"x": 1, unused: 2})
    seen = everything(branch)
    participant.prepare(GID)
    participant.commit(GID)
    assert content(path) == seen


@pytest.mark.parametrize(
    "sql",
    [
        "WITH other AS (SELECT 9 AS id) UPDATE t SET x = 1 WHERE id IN other",
        "EXPLAIN INSERT INTO t (x) VALUES (1)",
    ],
)
def test_a_write_that_changed_no_row_is_kept_too(
    participant: SqliteParticipant, path: Path, sql: str
) -> None:
    branch = participant.begin(GID)
    branch.execute("INSERT INTO log (said) VALUES (1)")
    branch.execute(sql)
    branch.execute("INSERT INTO log (said) SELECT changes()")
    branch.execute("INSERT INTO t (x) SELECT 1 WHERE changes() = 1")
    seen = everything(branch)
    participant.prepare(GID)
    participant.commit(GID)
    assert content(path) == seen


@pytest.mark.parametrize(
    "sql", ["WITH a AS (SELECT 1) SELECT * FROM a", "EXPLAIN SELECT 1", "SELECT 'DELETE'"]
)
def test_reads_need_no_second_phase(participant: SqliteParticipant, sql: str) -> None:
    branch = participant.begin(GID)
    branch.execute(sql)
    assert not branch.wrote
    participant.rollback(GID)


@pytest.mark.parametrize("bad", [(object(),), ([1],), "ab", 7, ({1: 2},)])
def test_other_parameters_are_refused(participant: SqliteParticipant, bad: object) -> None:
    with pytest.raises(InvalidType, match="parameter"):
        participant.begin(GID).execute("INSERT INTO t (x) VALUES (?)", bad)  # type: ignore[arg-type]
    with pytest.raises(Aborted, match="a statement failed"):
        participant.prepare(GID)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("COMMIT", "leave its `with` block"),
        (" ; -- x\n /* y */ commit", "leave its `with` block"),
        ("END TRANSACTION", "leave"),
        ("ROLLBACK", "leave"),
        ("SAVEPOINT a", "leave"),
        ("RELEASE ringfence_work", "leave"),
        ("BEGIN", "leave"),
        ("PRAGMA synchronous = OFF", "connection of your own"),
        ("ATTACH 'x.db' AS x", "connection of your own"),
        ("VACUUM", "connection of your own"),
        ("CREATE TEMP TABLE x (y)", "no other connection"),
        ("create /* */ temporary view x AS SELECT 1", "no other connection"),
        ("CREATE TABLE temp.x (y)", "no other connection"),
        ('create unique index if not exists "TEMP" . x ON t (y)', "no other connection"),
        ("DELETE FROM ringfence_intent", "prepared work is kept"),
    ],
)
def test_sql_that_ends_or_escapes_the_transaction_is_refused(
    participant: SqliteParticipant, sql: str, why: str
) -> None:
    branch = participant.begin(GID)
    with pytest.raises(InvalidValue, match=why):
        branch.execute(sql)
    participant.rollback(GID)


def test_sql_is_a_string(participant: SqliteParticipant) -> None:
    with pytest.raises(InvalidType, match="SQL is a string, not 7"):
        participant.begin(GID).execute(7)  # type: ignore[arg-type]


def test_total_changes_counts_other_transactions_and_is_refused(participant: SqliteParticipant) -> None:
    with pytest.raises(sqlite3.OperationalError):
        participant.begin(GID).execute("INSERT INTO t (x) VALUES (total_changes())")


def test_results_are_lists_with_counts(participant: SqliteParticipant) -> None:
    branch = participant.begin(GID)
    inserted = branch.execute("INSERT INTO t (id, x) VALUES (7, 1), (8, 2)")
    assert (list(inserted), inserted.rowcount, inserted.lastrowid) == ([], 2, 8)
    assert branch.executemany("UPDATE t SET x = ? WHERE id = ?", [(1, 7), (2, 9)]).rowcount == 1
    assert branch.execute("SELECT id FROM t") == [(7,), (8,)]


def test_a_schema_changed_by_others_keeps_the_intent(participant: SqliteParticipant, path: Path) -> None:
    participant.begin(GID).execute("INSERT INTO t (x) VALUES (1)")
    participant.prepare(GID)
    plain = sqlite3.connect(path, isolation_level=None)
    plain.execute("ALTER TABLE t RENAME TO gone")
    for _ in range(2):
        with pytest.raises(HeuristicOutcome, match="no such table: t; its intent is kept"):
            participant.commit(GID)
    assert participant.recover() == [GID]
    plain.execute("ALTER TABLE gone RENAME TO t")
    participant.commit(GID)
    assert plain.execute("SELECT x FROM t").fetchall() == [(1,)]
    plain.close()


def test_a_different_effect_is_noticed(participant: SqliteParticipant, path: Path) -> None:
    participant.begin(GID).execute("INSERT INTO t (x) SELECT 1 FROM sqlite_master WHERE name = 'log'")
    participant.prepare(GID)
    plain = sqlite3.connect(path, isolation_level=None)
    plain.execute("ALTER TABLE log RENAME TO other")
    plain.close()
    with pytest.raises(HeuristicOutcome, match="changed 0 rows, not 2 as before"):
        participant.commit(GID)


def test_big_records(participant: SqliteParticipant, path: Path) -> None:
    blob = os.urandom(5_000_000)
    participant.begin(GID).execute("INSERT INTO t (x) VALUES (?)", (blob,))
    participant.prepare(GID)
    participant.commit(GID)
    assert content(path)[2][1][0][1] == blob


def test_redo_text_is_json() -> None:
    statement = redo.Statement("INSERT", (1, b"x"), many=False, changed=1, answers=[b"y"])
    text = redo.encode([statement])
    assert text == '[["INSERT",[1,{"$":"eA=="}],false,1,[{"$":"eQ=="}]]]'
    assert redo.decode(text) == [statement._replace(parameters=[1, b"x"])]
