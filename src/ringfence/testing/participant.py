# ruff: noqa: D102 -- the name of a test says what it shows
"""What every participant must do, as a suite that anyone can run over a participant of their own.

With pytest, subclass it under a name that starts with `Test`::

    class TestMine(ParticipantSuite):
        def open(self) -> Participant:
            return MyParticipant(..., timeout=0.05)

        def restart(self, participant): ...
        def write(self, branch, value): ...
        def read(self, branch): ...
        def fail(self, branch): ...

It needs no pytest: `ringfence.testing.suites.failures(suite)` runs it and returns what failed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ringfence.errors import InDoubt, StoreTimeout
from ringfence.testing.suites import refused
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Participant

_GID, _OTHER, _LATER = "main.1.1", "main.1.2", "main.1.3"


class ParticipantSuite(ABC):
    """The conformance suite of participants, over one value that their branches write and read."""

    @abstractmethod
    def open(self) -> Participant:
        """Return a new participant, without the value, whose `begin` does not wait long."""

    @abstractmethod
    def write(self, branch: Any, value: int) -> None:
        """Write the value in a branch."""

    @abstractmethod
    def read(self, branch: Any) -> int | None:
        """Read the value in a branch; None when there is none."""

    @abstractmethod
    def fail(self, branch: Any) -> None:
        """Let a statement fail in a branch, and swallow its error as an application might."""

    @abstractmethod
    def restart(self, participant: Participant) -> Participant:
        """Let the participant's process die, and return it started again with what it keeps."""

    def test_commit_in_two_phases(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(_GID), 1)
            assert participant.prepare(_GID) is Vote.YES
            participant.commit(_GID)
            assert self._value(participant) == 1

    def test_roll_back_before_and_after_prepare(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(_GID), 1)
            participant.rollback(_GID)
            self.write(participant.begin(_OTHER), 2)
            participant.prepare(_OTHER)
            participant.rollback(_OTHER)
            assert participant.prepared() == []
            assert self._value(participant) is None

    def test_a_branch_sees_its_own_writes(self) -> None:
        with self._opened() as participant:
            branch = participant.begin(_GID)
            before = branch.wrote, self.read(branch)
            self.write(branch, 1)
            assert [before, (branch.wrote, self.read(branch))] == [(False, None), (True, 1)]
            participant.rollback(_GID)

    def test_prepared_branches_are_listed(self) -> None:
        with self._opened() as participant:
            assert participant.prepared() == []
            self.write(participant.begin(_GID), 1)
            assert participant.prepared() == []
            participant.prepare(_GID)
            assert participant.prepared() == [_GID]
            participant.commit(_GID)
            assert participant.prepared() == []

    def test_prepared_work_outlasts_a_restart(self) -> None:
        for end, value in (("commit", 1), ("rollback", None)):
            participant = self.open()
            self.write(participant.begin(_GID), 1)
            participant.prepare(_GID)
            with self._opened(self.restart(participant)) as again:
                assert again.prepared() == [_GID]
                getattr(again, end)(_GID)
                assert self._value(again) == value

    def test_work_that_was_not_prepared_is_lost_in_a_restart(self) -> None:
        participant = self.open()
        self.write(participant.begin(_GID), 1)
        with self._opened(self.restart(participant)) as again:
            assert again.prepared() == []
            assert self._value(again) is None
            refused(Exception, again.prepare, _GID)

    def test_everything_may_be_asked_twice(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(_GID), 1)
            assert [participant.prepare(_GID) for _ in range(2)] == [Vote.YES, Vote.YES]
            participant.commit(_GID)
            participant.commit(_GID)
            self.write(participant.begin(_OTHER), 2)
            participant.commit_one_phase(_OTHER)
            participant.commit_one_phase(_OTHER)
            assert self._value(participant) == 2
            self.write(participant.begin(_LATER), 3)
            participant.rollback(_LATER)
            participant.rollback(_LATER)
            assert self._value(participant) == 2

    def test_requests_about_unknown_branches_are_harmless(self) -> None:
        with self._opened() as participant:
            participant.commit("gone.1.1")
            participant.rollback("gone.1.1")
            refused(Exception, participant.prepare, "gone.1.1")
            refused(Exception, participant.commit_one_phase, "gone.1.2")
            assert participant.prepared() == []

    def test_requests_that_come_late_change_nothing(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(_GID), 1)
            participant.rollback(_GID)
            refused(Exception, participant.prepare, _GID)
            refused(Exception, participant.commit_one_phase, _GID)
            participant.commit(_GID)
            assert self._value(participant) is None

    def test_a_branch_that_only_read_says_so(self) -> None:
        with self._opened() as participant:
            self.read(participant.begin(_GID))
            assert participant.prepare(_GID) is Vote.READ_ONLY
            assert participant.prepared() == []
            assert self._value(participant) is None

    def test_a_statement_that_failed_votes_against(self) -> None:
        for end in ("prepare", "commit_one_phase"):
            with self._opened() as participant:
                branch = participant.begin(_GID)
                self.write(branch, 1)
                self.fail(branch)
                refused(Exception, getattr(participant, end), _GID)
                participant.rollback(_GID)
                assert participant.prepared() == []
                assert self._value(participant) is None

    def test_one_branch_at_a_time(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(_GID), 1)
            refused(StoreTimeout, participant.begin, _OTHER)
            participant.rollback(_GID)
            self.write(participant.begin(_OTHER), 2)
            participant.commit_one_phase(_OTHER)
            assert self._value(participant) == 2

    def test_prepared_work_stands_in_the_way_and_is_named(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(_GID), 1)
            participant.prepare(_GID)
            error = refused(InDoubt, participant.begin, _OTHER)
            assert isinstance(error, InDoubt)
            assert error.gid == _GID
            participant.commit(_GID)
            assert self._value(participant) == 1

    def test_a_one_phase_commit_is_remembered(self) -> None:
        participant = self.open()
        assert participant.settled(_GID) is None
        self.write(participant.begin(_GID), 1)
        participant.commit_one_phase(_GID)
        with self._opened(self.restart(participant)) as again:
            assert self._value(again) == 1
            assert again.settled(_GID) is Outcome.COMMITTED
            assert again.settle(_GID) is Outcome.COMMITTED
            again.commit_one_phase(_GID)

    def test_what_was_settled_as_aborted_never_commits_in_one_phase(self) -> None:
        participant = self.open()
        assert participant.settle(_GID) is Outcome.ABORTED
        with self._opened(self.restart(participant)) as again:
            assert again.settled(_GID) is Outcome.ABORTED
            assert again.settled(_OTHER) is None
            self.write(again.begin(_GID), 1)
            refused(Exception, again.commit_one_phase, _GID)
            again.rollback(_GID)
            assert again.settle(_GID) is Outcome.ABORTED
            assert self._value(again) is None

    def test_closing_twice_is_harmless(self) -> None:
        participant = self.open()
        self.write(participant.begin(_GID), 1)
        participant.close()
        participant.close()

    def _value(self, participant: Participant) -> int | None:
        """The committed value, as a branch reads it that writes nothing."""
        found = self.read(participant.begin("reader.1.1"))
        participant.rollback("reader.1.1")
        return found

    @contextmanager
    def _opened(self, participant: Participant | None = None) -> Iterator[Participant]:
        participant = participant or self.open()
        try:
            yield participant
        finally:
            participant.close()
