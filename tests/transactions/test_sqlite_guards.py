"""Prepared work cannot be overwritten by programs that know nothing of ringfence."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.transactions.participants.sqlite import SqliteParticipant

GID = "main.1.1"
TABLES = {
    "plain": "CREATE TABLE plain (id INTEGER PRIMARY KEY, x)",
    "without": "CREATE TABLE without (id TEXT PRIMARY KEY, x) WITHOUT ROWID",
    'odd "name"; --': 'CREATE TABLE "odd ""name""; --" (id PRIMARY KEY, x)',
    "sqlite": "CREATE TABLE sqlite (id PRIMARY KEY, x)",
    "it's": 'CREATE TABLE "it\'s" (id PRIMARY KEY, x)',
    "größe": "CREATE TABLE größe (id PRIMARY KEY, x)",
    "counted": "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, x)",
}
ROW = "INSERT INTO {0} VALUES (1, 'old')"
CHANGES = [
    "UPDATE {0} SET x = 'new'",
    "UPDATE OR IGNORE {0} SET x = 'new'",
    "INSERT INTO {0} VALUES (2, 'new')",
    "INSERT OR IGNORE INTO {0} VALUES (2, 'new')",
    "INSERT OR REPLACE INTO {0} VALUES (1, 'new')",
    "INSERT INTO {0} VALUES (1, 'new') ON CONFLICT DO UPDATE SET x = 'new'",
    "DELETE FROM {0}",
    "DELETE FROM {0} WHERE id = 1",
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    connection = sqlite3.connect(tmp_path / "a.db")
    for name, sql in TABLES.items():
        connection.execute(sql)
        connection.execute(ROW.format(quoted(name)))
    connection.execute("CREATE VIEW seen AS SELECT * FROM plain")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5 (word)")
    connection.commit()
    connection.close()
    return tmp_path / "a.db"


@pytest.fixture
def plain(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def participant(path: Path) -> Iterator[SqliteParticipant]:
    participant = SqliteParticipant(path, timeout=0.1)
    yield participant
    participant.close()


def prepare(participant: SqliteParticipant, gid: str = GID) -> None:
    participant.begin(gid).execute("UPDATE plain SET x = 'prepared'")
    participant.prepare(gid)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("table", TABLES)
def test_a_plain_program_is_refused_while_work_is_prepared(
    participant: SqliteParticipant, plain: sqlite3.Connection, table: str, change: str
) -> None:
    prepare(participant)
    with pytest.raises(sqlite3.IntegrityError, match=r"ringfence: prepared work .* recover\(\)"):
        plain.execute(change.format(quoted(table)))
    assert plain.execute(f"SELECT * FROM {quoted(table)}").fetchall() in ([(1, "old")], [("1", "old")])
    participant.commit(GID)
    plain.execute(change.format(quoted(table)))


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_plain_programs_go_on_after_the_end(
    participant: SqliteParticipant, plain: sqlite3.Connection, end: str
) -> None:
    prepare(participant)
    getattr(participant, end)(GID)
    plain.execute("INSERT INTO plain VALUES (2, 'new')")
    first = "prepared" if end == "commit" else "old"
    assert plain.execute("SELECT x FROM plain ORDER BY id").fetchall() == [(first,), ("new",)]


def test_prepared_work_is_invisible(participant: SqliteParticipant, plain: sqlite3.Connection) -> None:
    prepare(participant)
    assert plain.execute("SELECT x FROM plain").fetchone() == ("old",)
    participant.commit(GID)
    assert plain.execute("SELECT x FROM plain").fetchone() == ("prepared",)


def test_a_transaction_of_a_plain_program_cannot_straddle(
    participant: SqliteParticipant, plain: sqlite3.Connection
) -> None:
    """One that read before the prepare can neither write after it nor on top of the commit."""
    assert participant.recover() == []
    plain.execute("BEGIN")
    plain.execute("SELECT * FROM plain").fetchall()
    prepare(participant)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        plain.execute("UPDATE plain SET x = 'new'")
    plain.execute("ROLLBACK")


def test_a_branch_writes_to_a_virtual_table(
    participant: SqliteParticipant, plain: sqlite3.Connection
) -> None:
    for number in (1, 2):
        gid = f"main.1.{number}"
        participant.begin(gid).execute("INSERT INTO words VALUES ('new')")
        participant.prepare(gid)
        participant.commit(gid)
    assert plain.execute("SELECT count(*) FROM words WHERE words MATCH 'new'").fetchone() == (2,)
    plain.execute("INSERT INTO words (words) VALUES ('integrity-check')")


def test_a_table_made_in_the_transaction_is_guarded_from_the_next_one_on(
    participant: SqliteParticipant, plain: sqlite3.Connection
) -> None:
    branch = participant.begin(GID)
    branch.execute("CREATE TABLE fresh (x)")
    branch.execute("CREATE INDEX fresh_x ON fresh (x)")
    branch.execute("INSERT INTO fresh VALUES ('made')")
    participant.prepare(GID)
    participant.commit(GID)
    assert plain.execute("SELECT * FROM fresh").fetchall() == [("made",)]
    prepare(participant, "main.1.2")
    with pytest.raises(sqlite3.IntegrityError, match="ringfence"):
        plain.execute("DELETE FROM fresh")
    participant.rollback("main.1.2")


def test_a_table_made_by_a_plain_program_is_guarded_too(
    participant: SqliteParticipant, plain: sqlite3.Connection
) -> None:
    prepare(participant)
    participant.commit(GID)
    plain.execute("CREATE TABLE later (x)")
    prepare(participant, "main.1.2")
    with pytest.raises(sqlite3.IntegrityError, match="ringfence"):
        plain.execute("INSERT INTO later VALUES (1)")
    participant.rollback("main.1.2")


def test_a_renamed_table_leaves_its_name_to_another(
    participant: SqliteParticipant, plain: sqlite3.Connection
) -> None:
    prepare(participant)
    participant.commit(GID)
    plain.execute("ALTER TABLE plain RENAME TO old")
    plain.execute("CREATE TABLE plain (id INTEGER PRIMARY KEY, x)")
    prepare(participant, "main.1.2")
    for table in ("old", "plain"):
        with pytest.raises(sqlite3.IntegrityError, match="ringfence"):
            plain.execute(f"INSERT INTO {table} VALUES (5, 5)")
    participant.commit("main.1.2")


def test_guards_are_made_once(participant: SqliteParticipant, plain: sqlite3.Connection) -> None:
    counted = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'plain'"
    for number in range(1, 4):
        prepare(participant, f"main.1.{number}")
        participant.commit(f"main.1.{number}")
        assert plain.execute(counted).fetchone() == (3,)


def test_a_guard_that_was_dropped_is_made_again(
    participant: SqliteParticipant, plain: sqlite3.Connection
) -> None:
    prepare(participant)
    participant.commit(GID)
    dropped = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'plain' AND name LIKE '%delete%'"
    plain.execute(f"DROP TRIGGER {plain.execute(dropped).fetchone()[0]}")
    prepare(participant, "main.1.2")
    with pytest.raises(sqlite3.IntegrityError, match="ringfence"):
        plain.execute("DELETE FROM plain")
    participant.commit("main.1.2")


def test_one_phase_commits_need_no_guards(participant: SqliteParticipant, plain: sqlite3.Connection) -> None:
    participant.begin(GID).execute("UPDATE plain SET x = 'once'")
    participant.one_phase(GID)
    assert plain.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone() == (0,)


def test_there_is_no_gap_between_work_and_intent(
    participant: SqliteParticipant, plain: sqlite3.Connection
) -> None:
    """Before every statement of a prepare, another program tries to slip in."""
    branch = participant.begin(GID)
    branch.execute("UPDATE plain SET x = 'prepared'")
    plain.execute("PRAGMA busy_timeout = 0")
    slipped_in = []

    def slip_in(before: str) -> None:
        try:
            plain.execute("BEGIN IMMEDIATE")
            plain.execute("ROLLBACK")
            slipped_in.append(before)
        except sqlite3.OperationalError:
            tried.append(before)

    tried: list[str] = []
    branch.connection.set_trace_callback(slip_in)
    participant.prepare(GID)
    branch.connection.set_trace_callback(None)
    assert slipped_in == []
    assert any("ringfence_intent VALUES" in sql for sql in tried)
    participant.commit(GID)


def test_the_first_guards_change_nothing_in_what_is_committed(
    participant: SqliteParticipant, plain: sqlite3.Connection
) -> None:
    """A trigger makes SQLite find all rows of an UPDATE before it changes the first one, and ask random() otherwise."""
    plain.execute("CREATE TABLE dice (id INTEGER PRIMARY KEY, x)")
    plain.executemany("INSERT INTO dice VALUES (?, 0)", [(number,) for number in range(50)])
    for number in (1, 2):
        branch = participant.begin(f"main.1.{number}")
        branch.execute("UPDATE dice SET x = random() WHERE random() % 2 = 0")
        seen = branch.execute("SELECT * FROM dice ORDER BY id")
        participant.prepare(f"main.1.{number}")
        participant.commit(f"main.1.{number}")
        assert plain.execute("SELECT * FROM dice ORDER BY id").fetchall() == seen
        counted = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'dice'"
        assert plain.execute(counted).fetchone() == (3,)
