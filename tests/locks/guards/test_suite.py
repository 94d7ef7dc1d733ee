"""The conformance suite over the guards that need no server, and what is theirs alone."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ringfence.locks import rules
from ringfence.locks.guards import FileGuard, Guard
from ringfence.testing.guard import GuardSuite
from ringfence.testing.suites import failures


class TestSqlite(GuardSuite):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "app.db"
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("CREATE TABLE history (value TEXT)")
            connection.commit()

    def open(self, resource: str = "x") -> Guard:
        return Guard(self.path, resource, timeout=0.2)

    def put(self, writing: Any, value: str) -> None:
        writing.execute("INSERT INTO history VALUES (?)", (value,))

    def read(self) -> str:
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT value FROM history ORDER BY rowid DESC LIMIT 1").fetchall()
        return str(rows[0][0]) if rows else ""


class TestFile(GuardSuite):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "report [1].txt"

    def open(self, resource: str = "") -> FileGuard:
        return FileGuard(self.path, timeout=0.2)

    def put(self, writing: Any, value: str) -> None:
        writing.write(value.encode())

    def read(self) -> str:
        return self.path.read_text() if self.path.exists() else ""


class Marking(TestFile):
    """A file guard with a folder of its own for each test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("test_"):
            self.count += 1
            self.path = self.folder / str(self.count)
        return super().__getattribute__(name)


def test_the_suite_passes_where_pytest_is_not(tmp_path: Path) -> None:
    assert failures(Marking(tmp_path)) == {}


def test_the_suite_sees_a_guard_that_lets_everybody_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "admits", lambda mark, fence: True)
    assert {
        "test_a_stale_fence_is_refused_and_writes_nothing",
        "test_a_write_under_way_never_lands_on_a_newer_one",
        "test_writers_in_any_order_never_go_backwards",
        "test_the_mark_outlives_the_server",
    } <= failures(Marking(tmp_path)).keys()


def test_the_suite_sees_a_guard_that_compares_before_it_writes_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(guard: FileGuard, file: Any, _fence: int) -> None:
        Path(file.name).rename(guard.path)

    monkeypatch.setattr(FileGuard, "_replace", replace)
    assert "test_a_write_under_way_never_lands_on_a_newer_one" in failures(Marking(tmp_path))
