# ruff: noqa: D102 -- the name of a test says what it shows
"""The conformance suite of participants, as far as it asks for what only some of them can do.

Each test looks whether the participant at hand says that it can (`capabilities`, or a method that is there), and has
nothing to ask of one that cannot.
"""

from __future__ import annotations

from contextlib import closing

from ringfence.errors import FenceRejected, InDoubt, StoreTimeout
from ringfence.testing.participant_base import GID, LATER, OTHER, ParticipantBase
from ringfence.testing.suites import refused
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Participant


class OneAtATimeSuite(ParticipantBase):
    """Of participants that are not `concurrent`."""

    def test_one_branch_at_a_time(self) -> None:
        with self._opened() as participant:
            if participant.capabilities.concurrent:
                return
            self._written(participant, GID, 1)
            refused(StoreTimeout, participant.begin, OTHER)
            participant.rollback(GID)
            self._written(participant, OTHER, 2)
            participant.one_phase(OTHER)
            assert self._value(participant) == 2

    def test_prepared_work_stands_in_the_way_and_is_named(self) -> None:
        with self._opened() as participant:
            if participant.capabilities.concurrent:
                return
            self._written(participant, GID, 1)
            participant.prepare(GID)
            error = refused(InDoubt, participant.begin, OTHER)
            assert isinstance(error, InDoubt)
            assert error.gid == GID
            participant.commit(GID)
            assert self._value(participant) == 1


class ConcurrentSuite(ParticipantBase):
    """Of participants that are `concurrent`."""

    def test_branches_that_touch_other_values_run_side_by_side(self) -> None:
        with self._opened() as participant:
            if not participant.capabilities.concurrent:
                return
            one, other = participant.begin(GID), participant.begin(OTHER)
            self.write(one, 1)
            self.write_elsewhere(other, 2)
            assert [participant.prepare(GID), participant.prepare(OTHER)] == [Vote.YES, Vote.YES]
            assert sorted(participant.recover("main.")) == [GID, OTHER]
            participant.commit(OTHER)
            participant.commit(GID)
            assert self._values(participant, "read", "read_elsewhere") == [1, 2]

    def test_branches_that_touch_the_same_value_conflict(self) -> None:
        with self._opened() as participant:
            if not participant.capabilities.concurrent:
                return
            one, other = participant.begin(GID), participant.begin(OTHER)
            self.write(one, 1)
            assert participant.prepare(GID) is Vote.YES
            refused(Exception, lambda: (self.write(other, 2), participant.one_phase(OTHER)))
            participant.rollback(OTHER)
            participant.commit(GID)
            assert self._value(participant) == 1

    def test_prepared_work_is_overwritten_by_nobody_after_a_restart(self) -> None:
        participant = self.open()
        self._written(participant, GID, 1)
        participant.prepare(GID)
        with self._opened(self.restart(participant)) as again:
            if again.capabilities.concurrent:
                other = again.begin(OTHER)
                refused(Exception, lambda: (self.write(other, 2), again.one_phase(OTHER)))
                again.rollback(OTHER)
            again.commit(GID)
            assert self._value(again) == 1

    def test_many_branches_are_resolved_at_once(self) -> None:
        with self._opened() as participant:
            if not (participant.capabilities.concurrent and hasattr(participant, "resolve_many")):
                return
            self._prepare_two(participant)
            assert participant.resolve_many([GID, "gone.1.1", OTHER], Outcome.COMMITTED) == [None, None, None]
            assert self._values(participant, "read", "read_elsewhere") == [1, 2]
            assert participant.recover() == []

    def _prepare_two(self, participant: Participant) -> None:
        one, other = participant.begin(GID), participant.begin(OTHER)
        self.write(one, 1)
        self.write_elsewhere(other, 2)
        participant.prepare(GID)
        participant.prepare(OTHER)


class SplitSuite(ParticipantBase):
    """Of participants whose requests can be sent ahead of waiting for their answers."""

    def test_a_request_that_was_sent_ahead_is_answered(self) -> None:
        with self._opened() as participant:
            self._written(participant, GID, 1)
            assert self._split(participant, "prepare", GID) is Vote.YES
            assert self._split(participant, "commit", GID) is None
            assert self._value(participant) == 1
            self._written(participant, OTHER, 2)
            self._split(participant, "rollback", OTHER)
            assert self._value(participant) == 1

    def test_an_error_of_a_request_that_was_sent_ahead_is_raised(self) -> None:
        with self._opened() as participant:
            branch = participant.begin(GID)
            self.write(branch, 1)
            self.fail(branch)
            refused(Exception, self._split, participant, "prepare", GID)
            participant.rollback(GID)
            assert self._value(participant) is None

    def _split(self, participant: Participant, operation: str, gid: str) -> object:
        send = getattr(participant, "send", None)
        receive = None if send is None else send(operation, gid)
        return getattr(participant, operation)(gid) if receive is None else receive()


class FenceSuite(ParticipantBase):
    """Of participants that compare fences with their marks."""

    def test_a_stale_fence_is_a_vote_against(self) -> None:
        for end in ("prepare", "one_phase"):
            with self._opened() as participant:
                if not hasattr(participant, "guard"):
                    return
                self._guarded(participant, GID, 1, 5)
                participant.one_phase(GID)
                self._guarded(participant, OTHER, 2, 4)
                refused(FenceRejected, getattr(participant, end), OTHER)
                participant.rollback(OTHER)
                assert participant.recover() == []
                assert self._value(participant) == 1

    def test_the_mark_is_raised_in_two_phases_too(self) -> None:
        with self._opened() as participant:
            if not hasattr(participant, "guard"):
                return
            self._guarded(participant, GID, 1, 5)
            participant.prepare(GID)
            participant.commit(GID)
            self._guarded(participant, OTHER, 2, 4)
            refused(FenceRejected, participant.prepare, OTHER)
            participant.rollback(OTHER)
            assert self._value(participant) == 1

    def test_the_same_fence_and_newer_ones_are_admitted(self) -> None:
        with self._opened() as participant:
            if not hasattr(participant, "guard"):
                return
            for seq, fence in ((1, 5), (2, 5), (3, 6)):
                self._guarded(participant, f"main.1.{seq}", seq, fence)
                participant.one_phase(f"main.1.{seq}")
            assert self._value(participant) == 3

    def test_marks_are_of_one_resource(self) -> None:
        with self._opened() as participant:
            if not hasattr(participant, "guard"):
                return
            self._guarded(participant, GID, 1, 5)
            participant.one_phase(GID)
            self._guarded(participant, OTHER, 2, 1, "another resource")
            participant.one_phase(OTHER)
            assert self._value(participant) == 2

    def test_a_branch_that_only_read_under_a_stale_fence_votes_against(self) -> None:
        with self._opened() as participant:
            if not hasattr(participant, "guard"):
                return
            self._guarded(participant, GID, 1, 5)
            participant.one_phase(GID)
            self.read(participant.begin(OTHER))
            participant.guard(OTHER, "resource", 4)
            refused(FenceRejected, participant.prepare, OTHER)
            participant.rollback(OTHER)

    def _guarded(
        self, participant: Participant, gid: str, value: int, fence: int, resource: str = "resource"
    ) -> None:
        self._written(participant, gid, value)
        participant.guard(gid, resource, fence)  # type: ignore[attr-defined]


class MarkerSuite(ParticipantBase):
    """Of participants that carry the decision row in a local transaction of their own."""

    def test_deciding_commits_and_records_it(self) -> None:
        participant = self.open()
        if not participant.capabilities.marker:
            participant.close()
            return
        self._begin_epochs(participant, 1)
        self._written(participant, GID, 1)
        assert participant.decide(GID) is Outcome.COMMITTED  # type: ignore[attr-defined]
        with self._opened(self.restart(participant)) as again:
            assert self._value(again) == 1
            assert self._standing(again, GID) is Outcome.COMMITTED
            assert again.decide(GID) is Outcome.COMMITTED
            assert again.recover() == []

    def test_what_was_decided_otherwise_is_not_committed(self) -> None:
        with self._opened() as participant:
            if not participant.capabilities.marker:
                return
            self._begin_epochs(participant, 1)
            with closing(participant.decision_store()) as decisions:
                assert decisions.put_if_absent(GID, Outcome.ABORTED) is Outcome.ABORTED
            self._written(participant, GID, 1)
            assert participant.decide(GID) is Outcome.ABORTED
            assert self._value(participant) is None

    def test_a_stale_coordinator_commits_nothing(self) -> None:
        with self._opened() as participant:
            if not participant.capabilities.marker:
                return
            self._begin_epochs(participant, 2)
            self._written(participant, GID, 1)
            assert participant.decide(GID) is Outcome.ABORTED
            assert self._value(participant) is None
            assert self._standing(participant, GID) is not Outcome.COMMITTED

    def test_a_failed_statement_decides_nothing(self) -> None:
        with self._opened() as participant:
            if not participant.capabilities.marker:
                return
            self._begin_epochs(participant, 1)
            branch = participant.begin(GID)
            self.write(branch, 1)
            self.fail(branch)
            refused(Exception, participant.decide, GID)
            participant.rollback(GID)
            assert self._standing(participant, GID) is None
            assert self._value(participant) is None

    def test_a_stale_fence_decides_nothing(self) -> None:
        with self._opened() as participant:
            if not (participant.capabilities.marker and hasattr(participant, "guard")):
                return
            self._begin_epochs(participant, 1)
            for gid, fence in ((OTHER, 5), (GID, 4)):
                self._written(participant, gid, fence)
                participant.guard(gid, "resource", fence)
                if gid == OTHER:
                    assert participant.decide(gid) is Outcome.COMMITTED
            refused(FenceRejected, participant.decide, GID)
            participant.rollback(GID)
            assert self._standing(participant, GID) is None
            assert self._value(participant) == 5

    def test_work_that_was_lost_is_not_decided(self) -> None:
        participant = self.open()
        if not participant.capabilities.marker:
            participant.close()
            return
        self._begin_epochs(participant, 1)
        self._written(participant, LATER, 1)
        with self._opened(self.restart(participant)) as again:
            refused(Exception, again.decide, LATER)
            assert self._standing(again, LATER) is None

    def _begin_epochs(self, participant: Participant, count: int) -> None:
        with closing(participant.decision_store()) as decisions:  # type: ignore[attr-defined]
            assert decisions.carried_by(participant)
            for _ in range(count):
                decisions.begin_epoch("main")

    def _standing(self, participant: Participant, gid: str) -> Outcome | None:
        with closing(participant.decision_store()) as decisions:  # type: ignore[attr-defined]
            standing: Outcome | None = decisions.get(gid)
            return standing
