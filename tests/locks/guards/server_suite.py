"""The suite of guards over a server that is killed and started again, and writers that are killed."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ringfence.testing.guard import PATIENCE, GuardSuite
from tests.locks.guards.conftest import Running

SPAWN = multiprocessing.get_context("spawn")

numbers = itertools.count()


class ServerSuite(GuardSuite):
    """A suite over a server of its module.

    Attributes:
        kind: of the server.
        server: where the guards write.
        key: what they write there; each test has its own.
    """

    kind: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _use(self, running: Running) -> None:
        self.server: Any = running(self.kind)
        self.key = f"value{next(numbers)}"

    def restart(self) -> None:
        self.server.kill()
        self.server.start()

    def test_a_writer_that_is_killed_has_written_nothing_and_holds_up_nobody(self) -> None:
        with self.open() as guard:
            self.write(guard, 1)
            process = SPAWN.Process(target=die_inside, args=(type(self), self.server.url, self.key))
            process.start()
            process.join(PATIENCE)
            assert process.exitcode == -signal.SIGKILL
            assert self.read() == "1"
            self._until_written(guard, 2)
        assert self.read() == "2"


def die_inside(kind: type[ServerSuite], url: str, key: str) -> None:
    """Write, and be killed before the block ends."""
    suite = kind()
    suite.server, suite.key = SimpleNamespace(url=url), key
    with suite.open() as guard, guard.write(2) as writing:
        suite.put(writing, "killed")
        os.kill(os.getpid(), signal.SIGKILL)
