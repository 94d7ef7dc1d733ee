"""SQL functions that answer differently at each call, made to answer the same when a statement is run again.

A prepared branch is kept as the statements that made it, and committed by running them again. So what `random()` or
`datetime('now')` answered the first time is recorded beside the statement, and answered again in the same order.
"now" is one instant for a whole branch.
"""

from __future__ import annotations

import atexit
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

_CLOCKS = {"current_timestamp": "datetime", "current_date": "date", "current_time": "time"}
_DATES = ["date", "time", "datetime", "julianday", "strftime"]
_DATES += ["unixepoch"] if sqlite3.sqlite_version_info >= (3, 38) else []
_DATES += ["timediff"] if sqlite3.sqlite_version_info >= (3, 43) else []
_ELSEWHERE = ("localtime", "utc", "subsec", "subsecond")
"""What may make the answer depend on the machine's time zone or, without a "now", on the instant."""

Value = str | int | float | bytes | None


class Answers:
    """The answers of one connection's changeable functions: recorded, or given again.

    `START` is run at the beginning of a branch, so that `last_insert_rowid()` and `changes()` begin the same too.
    """

    START = "INSERT OR REPLACE INTO temp.ringfence_start (id) VALUES (0)"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._given: list[Value] = []
        self._kept: deque[Value] | None = None
        self._instant = 0.0
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("CREATE TEMP TABLE ringfence_start (id INTEGER PRIMARY KEY)")
        self._override(connection)

    def begin(self) -> None:
        """Start a branch: "now" is now."""
        self._instant = time.time()
        self._kept = None

    def record(self) -> list[Value]:
        """Start a statement; its answers will be in the list that is returned."""
        self._given = []
        return self._given

    def replay(self, answers: Iterable[Value]) -> None:
        """Start a statement that is run again, with the answers recorded the first time."""
        self._kept = deque(answers)

    def left(self) -> int:
        """How many answers the statement run again did not ask for."""
        return len(self._kept or ())

    def _answer(self, ask: Callable[[], Value]) -> Value:
        if self._kept is not None:
            return self._kept.popleft()
        answer = ask()
        self._given.append(answer)
        return answer

    def _override(self, connection: sqlite3.Connection) -> None:
        define = connection.create_function
        define("random", 0, lambda: self._answer(_random))
        define("randomblob", 1, lambda size: self._answer(partial(_randomblob, size)))
        define("total_changes", 0, _refuse)
        for name, function in _CLOCKS.items():
            define(name, 0, partial(self._date, function))
        for name in _DATES:  # deterministic, as SQLite's own are, or indexes and CHECKs could not use them
            define(name, -1, partial(self._date, name), deterministic=True)

    def _date(self, function: str, *arguments: Value) -> Value:
        pinned = _with_now(function, arguments, self._instant)
        if pinned == arguments and not any(_is(word, arguments) for word in _ELSEWHERE):
            return _calculate(function, arguments)
        return self._answer(lambda: _calculate(function, pinned))


def _with_now(function: str, arguments: tuple[Value, ...], instant: float) -> tuple[Value, ...]:
    """The arguments with the instant where they say "now", or say nothing and mean it."""
    if len(arguments) == (1 if function == "strftime" else 0):
        return *arguments, _text(instant)
    return tuple(_text(instant) if _is("now", (argument,)) else argument for argument in arguments)


def _text(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _is(word: str, arguments: tuple[Value, ...]) -> bool:
    spellings = (word, word.encode())  # SQLite reads a BLOB as text here
    return any(isinstance(argument, str | bytes) and argument.lower() in spellings for argument in arguments)


def _random() -> int:
    return random.getrandbits(64) - (1 << 63)


def _randomblob(size: Value) -> bytes:
    return random.randbytes(max(1, int(size or 0)))


def _refuse() -> None:
    raise ValueError("total_changes() counts what other transactions did; a branch cannot use it")


def _calculate(function: str, arguments: tuple[Value, ...]) -> Value:
    """Ask an SQLite whose functions are its own."""
    with _calculating:
        holes = ", ".join("?" * len(arguments))
        answer: Any = _calculator().execute(f"SELECT {function}({holes})", arguments).fetchone()[0]
    return answer  # type: ignore[no-any-return]


_calculating = threading.Lock()


@cache
def _calculator() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    atexit.register(connection.close)
    return connection
