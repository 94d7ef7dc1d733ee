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

A participant whose branches run side by side (`capabilities.concurrent`) also needs `write_elsewhere` and
`read_elsewhere`: another value.

It needs no pytest: `ringfence.testing.suites.failures(suite)` runs it and returns what failed.
"""

from __future__ import annotations

from ringfence.testing.participant_base import GID, LATER, OTHER
from ringfence.testing.participant_extras import (
    ConcurrentSuite,
    FenceSuite,
    MarkerSuite,
    OneAtATimeSuite,
    SplitSuite,
)
from ringfence.testing.suites import refused
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Capabilities


class ParticipantSuite(OneAtATimeSuite, ConcurrentSuite, SplitSuite, FenceSuite, MarkerSuite):
    """The conformance suite of participants, over one value that their branches write and read."""

    def test_commit_in_two_phases(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(GID), 1)
            assert participant.prepare(GID) is Vote.YES
            participant.commit(GID)
            assert self._value(participant) == 1

    def test_roll_back_before_and_after_prepare(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(GID), 1)
            participant.rollback(GID)
            self.write(participant.begin(OTHER), 2)
            participant.prepare(OTHER)
            participant.rollback(OTHER)
            assert participant.recover() == []
            assert self._value(participant) is None

    def test_a_branch_sees_its_own_writes(self) -> None:
        with self._opened() as participant:
            branch = participant.begin(GID)
            before = branch.wrote, self.read(branch)
            self.write(branch, 1)
            assert [before, (branch.wrote, self.read(branch))] == [(False, None), (True, 1)]
            participant.rollback(GID)

    def test_prepared_branches_are_listed(self) -> None:
        with self._opened() as participant:
            assert participant.recover() == []
            self.write(participant.begin(GID), 1)
            assert participant.recover() == []
            participant.prepare(GID)
            assert participant.recover() == [GID]
            participant.commit(GID)
            assert participant.recover() == []

    def test_prepared_branches_are_looked_for_by_the_beginning_of_their_names(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(GID), 1)
            participant.prepare(GID)
            assert [participant.recover(prefix) for prefix in ("", "main.", GID)] == [[GID]] * 3
            assert [participant.recover(prefix) for prefix in ("other.", "m_in.", "%", "MAIN.")] == [[]] * 4
            participant.rollback(GID)

    def test_what_it_can_do_is_said(self) -> None:
        with self._opened() as participant:
            assert isinstance(participant.capabilities, Capabilities)
            assert participant.capabilities.marker <= hasattr(participant, "decide")

    def test_prepared_work_outlasts_a_restart(self) -> None:
        for end, value in (("commit", 1), ("rollback", None)):
            participant = self.open()
            self.write(participant.begin(GID), 1)
            participant.prepare(GID)
            with self._opened(self.restart(participant)) as again:
                assert again.recover() == [GID]
                getattr(again, end)(GID)
                assert self._value(again) == value

    def test_work_that_was_not_prepared_is_lost_in_a_restart(self) -> None:
        participant = self.open()
        self.write(participant.begin(GID), 1)
        with self._opened(self.restart(participant)) as again:
            assert again.recover() == []
            assert self._value(again) is None
            refused(Exception, again.prepare, GID)

    def test_everything_may_be_asked_twice(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(GID), 1)
            assert [participant.prepare(GID) for _ in range(2)] == [Vote.YES, Vote.YES]
            participant.commit(GID)
            participant.commit(GID)
            self.write(participant.begin(OTHER), 2)
            participant.one_phase(OTHER)
            participant.one_phase(OTHER)
            assert self._value(participant) == 2
            self.write(participant.begin(LATER), 3)
            participant.rollback(LATER)
            participant.rollback(LATER)
            assert self._value(participant) == 2

    def test_requests_about_unknown_branches_are_harmless(self) -> None:
        with self._opened() as participant:
            participant.commit("gone.1.1")
            participant.rollback("gone.1.1")
            refused(Exception, participant.prepare, "gone.1.1")
            refused(Exception, participant.one_phase, "gone.1.2")
            assert participant.recover() == []

    def test_requests_that_come_late_change_nothing(self) -> None:
        with self._opened() as participant:
            self.write(participant.begin(GID), 1)
            participant.rollback(GID)
            refused(Exception, participant.prepare, GID)
            refused(Exception, participant.one_phase, GID)
            participant.commit(GID)
            assert self._value(participant) is None

    def test_a_branch_that_only_read_says_so(self) -> None:
        with self._opened() as participant:
            self.read(participant.begin(GID))
            assert participant.prepare(GID) is Vote.READ_ONLY
            assert participant.recover() == []
            assert self._value(participant) is None

    def test_a_statement_that_failed_votes_against(self) -> None:
        for end in ("prepare", "one_phase"):
            with self._opened() as participant:
                branch = participant.begin(GID)
                self.write(branch, 1)
                self.fail(branch)
                refused(Exception, getattr(participant, end), GID)
                participant.rollback(GID)
                assert participant.recover() == []
                assert self._value(participant) is None

    def test_a_one_phase_commit_is_remembered(self) -> None:
        participant = self.open()
        assert participant.settled(GID) is None
        self.write(participant.begin(GID), 1)
        participant.one_phase(GID)
        with self._opened(self.restart(participant)) as again:
            assert self._value(again) == 1
            assert again.settled(GID) is Outcome.COMMITTED
            assert again.settle(GID) is Outcome.COMMITTED
            again.one_phase(GID)

    def test_what_was_settled_as_aborted_never_commits_in_one_phase(self) -> None:
        participant = self.open()
        assert participant.settle(GID) is Outcome.ABORTED
        with self._opened(self.restart(participant)) as again:
            assert again.settled(GID) is Outcome.ABORTED
            assert again.settled(OTHER) is None
            self.write(again.begin(GID), 1)
            refused(Exception, again.one_phase, GID)
            again.rollback(GID)
            assert again.settle(GID) is Outcome.ABORTED
            assert self._value(again) is None

    def test_closing_twice_is_harmless(self) -> None:
        participant = self.open()
        self.write(participant.begin(GID), 1)
        participant.close()
        participant.close()
