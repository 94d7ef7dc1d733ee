from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace

import pytest

from ringfence.bindings import notes
from ringfence.bindings.notes import Notes
from ringfence.errors import InvalidValue


def noted(*statements: str) -> SimpleNamespace:
    """A branch after statements, of which those that end with `!` fail."""
    branch = SimpleNamespace(gid="main.1.1", over=False, failed=None, writes=False, may_write=False)
    told = Notes(branch)
    for sql in statements:
        with suppress(ZeroDivisionError), told.of(sql.removesuffix("!")):
            _ = 1 / (not sql.endswith("!"))
    return branch


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        "  /* x */ commit and chain",
        "-- x\nROLLBACK",
        "rollback work",
        "BEGIN",
        "START TRANSACTION",
        "END",
        "ABORT",
        "XA END 'x'",
        "PREPARE TRANSACTION 'x'",
        "; commit",
        "UPDATE account SET cents = 1; COMMIT",
        "/* a;b */ COMMIT",
        "SELECT 1; /* a;b */ COMMIT",
        "SELECT '/*'; /* a;b */ COMMIT; SELECT '*/'",
        "-- a;b\nCOMMIT",
        "/*!50000 COMMIT */",
        "SAVEPOINT a; COMMIT",
    ],
)
def test_statements_that_end_the_transaction_are_refused(sql: str) -> None:
    with pytest.raises(InvalidValue, match=r"main\.1\.1"):
        noted(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SAVEPOINT a",
        "ROLLBACK TO a",
        "/* x;y */ ROLLBACK TO `a-b c`; -- z",
        "rollback to savepoint a",
        "RELEASE a",
        "PREPARE p AS SELECT 1",
    ],
)
def test_savepoints_are_the_applications(sql: str) -> None:
    noted(sql)


def test_nothing_runs_in_a_transaction_that_is_over() -> None:
    branch = noted()
    branch.over = True
    with pytest.raises(InvalidValue, match="over"):
        Notes(branch).run("SELECT 1")


@pytest.mark.parametrize(
    ("statements", "failed"),
    [
        (["SELECT 1"], False),
        (["SELECT x!"], True),
        (["SAVEPOINT a", "SELECT x!"], True),
        (["SAVEPOINT a", "SELECT x!", "ROLLBACK TO SAVEPOINT a"], False),
        (["SAVEPOINT a", "SELECT x!", "ROLLBACK TO a", "RELEASE a"], False),
        (["SAVEPOINT a", "SELECT x!", "RELEASE SAVEPOINT a"], True),
        (["SELECT x!", "SAVEPOINT a", "ROLLBACK TO a"], True),
        (["SAVEPOINT a", "SAVEPOINT b", "SELECT x!", "ROLLBACK TO a"], False),
        (["SAVEPOINT a", "SELECT x!", "SAVEPOINT b", "ROLLBACK TO b"], True),
        (["SAVEPOINT a", "SAVEPOINT b", "SELECT x!", "RELEASE b", "ROLLBACK TO a"], False),
        (["SAVEPOINT a", "RELEASE a", "SELECT x!", "ROLLBACK TO a!"], True),
        (["SAVEPOINT a", "ROLLBACK TO a", "SELECT x!", "ROLLBACK TO a"], False),
        (['SAVEPOINT "A"', "SELECT x!", "ROLLBACK WORK TO SAVEPOINT a"], False),
    ],
)
def test_what_failed_counts_unless_it_is_undone(statements: list[str], failed: bool) -> None:
    assert (noted(*statements).failed is not None) is failed


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("SELECT * FROM account", True),
        ("(SELECT 1) UNION (SELECT 2)", True),
        ("SELECT count(*), max(cents) FROM account WHERE id IN (1, 2)", True),
        ("SELECT * FROM account FOR UPDATE", False),
        ("SELECT * FROM account LOCK IN SHARE MODE", False),
        ("SELECT * INTO OUTFILE 'x' FROM account", False),
        ("SELECT pay(1)", False),
        ("SHOW TABLES", True),
        ("INSERT INTO account VALUES (1, 2)", False),
        ("WITH gone AS (DELETE FROM account RETURNING id) SELECT * FROM gone", False),
        ("CALL pay()", False),
        ("/*!50000 DELETE FROM account */", False),
        ("SELECT 1 /*!50000 , pay(1) */", False),
        ("SELECT `pay`(1)", False),
        ("SELECT shop.count(1)", False),
        ("SELECT pay/**/(1)", False),
        ("SELECT pay /* x */ (1)", False),
        ("SELECT '\\'/*', pay(1), '*/'", False),
        ("SELECT 5--pay(1)", False),
        ("SELECT 1; UPDATE account SET cents = 1", False),
        ("SELECT cents/**/INTO @x FROM account", False),
        ("SET STATEMENT max_statement_time = 1 FOR DELETE FROM account", False),
        ("SELECT 1; ", True),
        ("/* page */ SELECT * FROM account", True),
    ],
)
def test_what_surely_only_reads(sql: str, reads: bool) -> None:
    assert notes.only_reads(sql) is reads
    assert not (reads and notes.changes(sql))


@pytest.mark.parametrize("sql", ["SAVEPOINT a; UPDATE account SET cents = 1", "RELEASE a; SELECT pay(1)"])
def test_what_follows_a_savepoint_may_write(sql: str) -> None:
    assert noted(sql).may_write
