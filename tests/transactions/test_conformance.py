"""Every participant and decision store passes the same suite, and those that break a rule do not."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ringfence.errors import Aborted
from ringfence.testing.decision_store import DecisionStoreSuite
from ringfence.testing.participant import ParticipantSuite
from ringfence.testing.suites import failures
from ringfence.transactions import Outcome, Vote
from ringfence.transactions.decisions import DecisionStore, recorded
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.decisions.sqlite import SqliteDecisions
from ringfence.transactions.participants import Capabilities, Participant
from ringfence.transactions.participants.memory import MemoryBranch, MemoryParticipant
from ringfence.transactions.participants.sqlite import SqliteParticipant


class TestMemoryDecisions(DecisionStoreSuite):
    def open(self) -> DecisionStore:
        return MemoryDecisions()

    def restart(self, store: DecisionStore) -> DecisionStore:
        return store


class InFolders:
    """Gives each store a new folder, and clears up."""

    def setup_method(self) -> None:
        self.folders = contextlib.ExitStack()

    def teardown_method(self) -> None:
        self.folders.close()

    def file(self) -> Path:
        return Path(self.folders.enter_context(tempfile.TemporaryDirectory()), "a.db")


class TestSqliteDecisions(InFolders, DecisionStoreSuite):
    def open(self) -> DecisionStore:
        return SqliteDecisions(self.file())

    def restart(self, store: DecisionStore) -> DecisionStore:
        assert isinstance(store, SqliteDecisions)
        store.close()
        return SqliteDecisions(store.path)


class TestMemoryParticipant(ParticipantSuite):
    def open(self) -> Participant:
        return MemoryParticipant(timeout=0.02, decisions=MemoryDecisions())

    def restart(self, participant: Participant) -> Participant:
        assert isinstance(participant, MemoryParticipant)
        participant.disconnect(["main.1.1", "main.1.3"])
        return participant

    def write(self, branch: Any, value: int) -> None:
        branch.put("value", value)

    def read(self, branch: Any) -> int | None:
        found: int | None = branch.get("value")
        return found

    def fail(self, branch: Any) -> None:
        branch.fail("a statement failed")


class SideBySide(MemoryParticipant):
    """Branches run at once; whoever prepares second what another has prepared is refused."""

    def __init__(self) -> None:
        super().__init__(timeout=0.02)
        self.capabilities = Capabilities(concurrent=True, durable=False)

    def _free(self) -> bool:
        return True

    def _ready(self, gid: str) -> MemoryBranch:
        branch = super()._ready(gid)
        if any(branch.changes.keys() & changes.keys() for changes in self._intents.values()):
            raise Aborted(gid, "another transaction was first", retryable=True)
        return branch

    def send(self, operation: str, *arguments: Any) -> Callable[[], Any]:
        return partial(getattr(self, operation), *arguments)

    def resolve_many(self, gids: Sequence[str], outcome: Outcome) -> list[Exception | None]:
        end = self.commit if outcome is Outcome.COMMITTED else self.rollback
        return [end(gid) for gid in gids]


class TestConcurrentParticipant(TestMemoryParticipant):
    def open(self) -> Participant:
        return SideBySide()

    def write_elsewhere(self, branch: Any, value: int) -> None:
        branch.put("elsewhere", value)

    def read_elsewhere(self, branch: Any) -> int | None:
        found: int | None = branch.get("elsewhere")
        return found


class LetsBranchesOverwrite(SideBySide):
    def _ready(self, gid: str) -> MemoryBranch:
        return MemoryParticipant._ready(self, gid)


class AnswersWithNothing(SideBySide):
    def send(self, operation: str, *arguments: Any) -> Callable[[], Any]:
        return lambda: None


class ResolvesOne(SideBySide):
    def resolve_many(self, gids: Sequence[str], outcome: Outcome) -> list[Exception | None]:
        return super().resolve_many(gids[:1], outcome) + [None] * (len(gids) - 1)


@pytest.mark.parametrize("broken", [LetsBranchesOverwrite, AnswersWithNothing, ResolvesOne])
def test_the_suite_finds_broken_concurrent_participants(broken: type[SideBySide]) -> None:
    class Suite(TestConcurrentParticipant):
        def open(self) -> Participant:
            return broken()

    assert failures(Suite())
    assert not failures(TestConcurrentParticipant())


class TestSqliteParticipant(InFolders, ParticipantSuite):
    def open(self) -> Participant:
        file = self.file()
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, value INTEGER)")
        connection.close()
        return SqliteParticipant(file, timeout=0.02)

    def restart(self, participant: Participant) -> Participant:
        assert isinstance(participant, SqliteParticipant)
        participant.close()
        return SqliteParticipant(participant.path, timeout=0.02)

    def write(self, branch: Any, value: int) -> None:
        branch.execute("REPLACE INTO kept VALUES (1, ?)", (value,))

    def read(self, branch: Any) -> int | None:
        for (value,) in branch.execute("SELECT value FROM kept"):
            return int(value)
        return None

    def fail(self, branch: Any) -> None:
        with pytest.raises(sqlite3.OperationalError):
            branch.execute("SELECT * FROM missing")


class LastDecisionStands(MemoryDecisions):
    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        self._outcomes[gid] = recorded(gid, Outcome(outcome), self._epochs[gid.split(".")[0]])
        return self._outcomes[gid]


class StaleCommits(MemoryDecisions):
    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        return self._outcomes.setdefault(gid, outcome)


class EpochsRepeat(MemoryDecisions):
    def begin_epoch(self, name: str) -> int:
        return 1


@pytest.mark.parametrize("broken", [LastDecisionStands, StaleCommits, EpochsRepeat])
def test_the_suite_finds_broken_decision_stores(broken: type[MemoryDecisions]) -> None:
    class Suite(TestMemoryDecisions):
        def open(self) -> DecisionStore:
            return broken()

    assert failures(Suite())
    assert not failures(TestMemoryDecisions())


class ForgetsFailures(MemoryParticipant):
    def begin(self, gid: str) -> MemoryBranch:
        branch = super().begin(gid)
        branch.fail = lambda reason: None  # type: ignore[method-assign]
        return branch


class ShowsPreparedWork(MemoryParticipant):
    def prepare(self, gid: str) -> Vote:
        vote = super().prepare(gid)
        self._apply(self._intents.get(gid, {}))
        return vote


class LetsOthersIn(MemoryParticipant):
    def _free(self) -> bool:
        return True


class NeverReadOnly(MemoryParticipant):
    def prepare(self, gid: str) -> Vote:
        super().prepare(gid)
        return Vote.YES


class LosesPrepared(MemoryParticipant):
    def disconnect(self, gids: object) -> None:
        self._intents.clear()


class CommitsWhatWasSettled(MemoryParticipant):
    def one_phase(self, gid: str) -> None:
        self._fenced.discard(gid)
        super().one_phase(gid)


class NotIdempotent(MemoryParticipant):
    def commit(self, gid: str) -> None:
        if gid not in self._intents:
            raise Aborted(gid, "not here")
        super().commit(gid)


class DecidesAgainstTheStore(MemoryParticipant):
    def decide(self, gid: str) -> Outcome:
        self.one_phase(gid)
        return self.decision_store().put_if_absent(gid, Outcome.COMMITTED)


class DecidesWithoutARow(MemoryParticipant):
    def decide(self, gid: str) -> Outcome:
        self.one_phase(gid)
        return Outcome.COMMITTED


class ForgetsFences(MemoryParticipant):
    def guard(self, gid: str, resource: str, fence: int) -> None:
        pass


class ListsEverybodysWork(MemoryParticipant):
    def recover(self, prefix: str = "") -> list[str]:
        return super().recover()


BROKEN = [
    DecidesAgainstTheStore,
    DecidesWithoutARow,
    ForgetsFences,
    ListsEverybodysWork,
    ForgetsFailures,
    ShowsPreparedWork,
    LetsOthersIn,
    NeverReadOnly,
    LosesPrepared,
    CommitsWhatWasSettled,
]


@pytest.mark.parametrize("broken", [*BROKEN, NotIdempotent])
def test_the_suite_finds_broken_participants(broken: type[MemoryParticipant]) -> None:
    class Suite(TestMemoryParticipant):
        def open(self) -> Participant:
            return broken(timeout=0.02, decisions=MemoryDecisions())

    assert failures(Suite())


def test_the_suite_passes_the_sound_participant() -> None:
    assert not failures(TestMemoryParticipant())
