"""The suite over the guards of PostgreSQL and MariaDB, and what is theirs alone."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pymysql
import pytest

from ringfence import _mysql
from ringfence.errors import (
    BackendUnavailable,
    FenceRejected,
    InvalidType,
    InvalidValue,
    OutcomeUnknown,
    StoreError,
    StoreTimeout,
)
from ringfence.locks.guards import MySqlGuard, PostgresGuard
from tests.locks.guards.server_suite import ServerSuite

pytestmark = pytest.mark.servers


class SqlSuite(ServerSuite):
    """What the guards of PostgreSQL and MariaDB have in common."""

    @pytest.fixture(autouse=True)
    def _table(self, _use: None) -> None:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE {self.key} (at SERIAL PRIMARY KEY, value VARCHAR(100))")

    def connect(self) -> Any:
        raise NotImplementedError

    def guard(self, database: Any, resource: str) -> Any:
        raise NotImplementedError

    def open(self, resource: str = "") -> Any:
        return self.guard(self.server.url, resource or self.key)

    def put(self, writing: Any, value: str) -> None:
        with writing.cursor() as cursor:
            cursor.execute(f"INSERT INTO {self.key} (value) VALUES (%s)", (value,))

    def read(self) -> str:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT value FROM {self.key} ORDER BY at DESC LIMIT 1")
            rows = cursor.fetchall()
        return str(rows[0][0]) if rows else ""

    def test_a_connection_of_the_callers_is_used_and_left_open(self) -> None:
        with closing(self.connect()) as connection:
            guard = self.guard(connection, self.key)
            self.write(guard, 4)
            with pytest.raises(FenceRejected):
                self.write(guard, 3)
            assert guard.mark() == 4
            guard.close()
            self.write(guard, 5)
            assert self.read() == "5"

    def test_a_connection_in_a_transaction_is_refused(self) -> None:
        with closing(self.connect()) as connection:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute(f"INSERT INTO {self.key} (value) VALUES ('x')")
            with pytest.raises(InvalidValue, match="in a transaction already"):
                self.write(self.guard(connection, self.key), 1)
        assert self.read() == ""

    def test_committing_inside_the_block_is_an_error(self) -> None:
        with self.open() as guard:
            self.write(guard, 1)

            def commit(fence: int) -> None:
                with guard.write(fence) as connection, connection.cursor() as cursor:
                    cursor.execute("COMMIT")

            with pytest.raises(StoreError, match="did not end with its block"):
                commit(2)
            self.write(guard, 3)

    def test_writers_wait_for_each_other_no_longer_than_asked(self) -> None:
        with self.open() as one, self.open() as two:
            with one.write(1) as connection:
                self.put(connection, "1")
                with pytest.raises(StoreTimeout):
                    self.write(two, 2)
            self.write(two, 2)
        assert self.read() == "2"

    def test_a_writer_whose_connection_ends_has_written_nothing(self) -> None:
        with self.open() as guard:
            self.write(guard, 1)

            def lose_the_connection() -> None:
                with guard.write(2) as connection:
                    self.put(connection, "2")
                    self.cut(connection)

            with pytest.raises(OutcomeUnknown):
                lose_the_connection()
            assert self.read() == "1"
            self.write(guard, 2)
        assert self.read() == "2"

    def cut(self, connection: Any) -> None:
        raise NotImplementedError

    def test_errors_of_the_block_pass_unchanged(self) -> None:
        with self.open() as guard:
            wrong = (psycopg.errors.SyntaxError, pymysql.ProgrammingError)
            with pytest.raises(wrong), guard.write(1) as connection, connection.cursor() as cursor:
                cursor.execute("NONSENSE")
            assert guard.mark() == 0

    def test_resources_are_independent(self) -> None:
        with self.open() as guard, self.open("other" + self.key) as other:
            self.write(guard, 9)
            self.write(other, 1)
        assert self.read() == "1"

    @pytest.mark.parametrize("database", [None, 1, "sqlite:///x", "postgres", b"x"])
    def test_a_url_or_a_connection_is_needed(self, database: Any) -> None:
        with pytest.raises((InvalidType, InvalidValue)):
            self.guard(database, "x")


class TestPostgres(SqlSuite):
    kind = "postgresql"

    def connect(self) -> Any:
        return psycopg.connect(self.server.url, autocommit=True)

    def guard(self, database: Any, resource: str) -> PostgresGuard:
        return PostgresGuard(database, resource, timeout=0.5)

    def cut(self, connection: Any) -> None:
        with closing(self.connect()) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))

    def test_a_connection_that_begins_by_itself_is_left_idle(self) -> None:
        with psycopg.connect(self.server.url) as connection:
            guard = self.guard(connection, self.key)
            assert guard.mark() == 0
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            self.write(guard, 1)
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert self.read() == "1"

    def test_a_failed_statement_that_is_swallowed_fails_the_block(self) -> None:
        """PostgreSQL answers the commit of a failed transaction by a rollback, and drivers do not notice."""
        with self.open() as guard:
            self.write(guard, 1)

            def swallow() -> None:
                with guard.write(2) as connection:
                    self.put(connection, "2")
                    with pytest.raises(psycopg.errors.DivisionByZero):
                        connection.execute("SELECT 1 / 0")

            with pytest.raises(StoreError, match="did not end with its block"):
                swallow()
        assert self.read() == "1"

    def test_rows_of_a_given_connection_may_be_of_any_kind(self) -> None:
        with psycopg.connect(self.server.url, row_factory=psycopg.rows.dict_row) as connection:
            guard = self.guard(connection, self.key)
            self.write(guard, 5)
            assert guard.mark() == 5

    def test_a_server_that_is_not_there_is_named(self) -> None:
        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            self.write(PostgresGuard("postgresql://x@127.0.0.1:1/x", "x"), 1)

    def test_a_url_that_libpq_does_not_understand_is_refused(self) -> None:
        with pytest.raises(InvalidValue, match="libpq"):
            self.write(PostgresGuard("postgresql://x@127.0.0.1/x?nonsense=1", "x"), 1)


class TestMariaDB(SqlSuite):
    kind = "mariadb"

    def connect(self) -> Any:
        return _mysql.connect(self.server.url, timeout=30)

    def guard(self, database: Any, resource: str) -> MySqlGuard:
        return MySqlGuard(database, resource, timeout=0.5)

    def cut(self, connection: Any) -> None:
        with closing(self.connect()) as other, other.cursor() as cursor:
            cursor.execute(f"KILL {connection.thread_id()}")

    def test_a_statement_that_commits_by_itself_is_noticed(self) -> None:
        with self.open() as guard:
            self.write(guard, 1)

            def define() -> None:
                with guard.write(2) as connection, connection.cursor() as cursor:
                    cursor.execute(f"CREATE TABLE {self.key}_more (x INT)")

            with pytest.raises(StoreError, match="did not end with its block"):
                define()

    def test_rows_of_a_given_connection_may_be_of_any_kind(self) -> None:
        found = _mysql.parse(self.server.url)
        with pymysql.connect(**found, cursorclass=pymysql.cursors.DictCursor) as connection:
            guard = self.guard(connection, self.key)
            self.write(guard, 5)
            assert guard.mark() == 5

    def test_a_server_that_is_not_there_is_named(self) -> None:
        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            self.write(MySqlGuard("mariadb://x@127.0.0.1:1/x", "x"), 1)

    def test_a_url_tells_all_that_is_needed(self) -> None:
        assert _mysql.parse("mysql://a%40b:p%2Fw@host:1/db") == {
            "host": "host", "port": 1, "user": "a@b", "password": "p/w", "database": "db",
        }  # fmt: skip
        assert _mysql.parse("mariadb:///db?unix_socket=/s") == {"database": "db", "unix_socket": "/s"}
        with pytest.raises(InvalidValue, match="ssl"):
            _mysql.parse("mariadb:///db?ssl=1")
