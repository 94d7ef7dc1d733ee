"""What a Redis participant must do beyond the suite of all participants; mutants of its scripts fail it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ringfence.errors import Aborted, FenceRejected, HeuristicOutcome, InDoubt, RingfenceError, StoreTimeout
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from ringfence.testing.suites import refused
from ringfence.transactions import Outcome, Vote
from ringfence.transactions.participants.redis import RedisParticipant
from ringfence.transactions.participants.redis.steps import Steps

ONE, TWO, THREE = "main.1.1", "main.1.2", "main.1.3"


class Laws:
    """Over a server that is emptied for each test."""

    def __init__(self, server: Redis) -> None:
        self.server = server

    @contextmanager
    def opened(self, *, alone: bool = False, timeout: float = 0.02) -> Iterator[RedisParticipant]:
        resp.ask(self.server.port, "FLUSHALL")
        participant = RedisParticipant(self.server.url, timeout=timeout, alone=alone)
        try:
            yield participant
        finally:
            participant.close()

    def ask(self, *words: str) -> Any:
        """Ask as any other program would."""
        return resp.ask(self.server.port, *words)

    def staged(self, participant: RedisParticipant, gid: str, key: str = "x", value: int = 1) -> None:
        """Prepare a branch that writes one key."""
        participant.begin(gid).set(key, value)
        assert participant.prepare(gid) is Vote.YES

    def left(self) -> list[bytes]:
        """What stands there of a participant, but for what is known of transactions that are over."""
        keys = self.ask("KEYS", "ringfence:{txn}:*")
        return [
            key for key in keys if not key.startswith((b"ringfence:{txn}:done", b"ringfence:{txn}:settled"))
        ]

    def test_nothing_is_left_of_a_transaction_that_is_over(self) -> None:
        for end in ("commit", "rollback"):
            with self.opened() as participant:
                self.staged(participant, ONE)
                assert self.left() != []
                getattr(participant, end)(ONE)
                assert self.left() == []
                self.staged(participant, TWO)

    def test_a_key_that_prepared_work_writes_is_refused_to_others(self) -> None:
        with self.opened() as participant:
            self.staged(participant, ONE)
            participant.begin(TWO).set("x", 2)
            error = refused(Aborted, participant.prepare, TWO)
            assert isinstance(error, Aborted)
            assert error.retryable
            assert ONE in str(error)
            participant.commit(ONE)
            assert self.ask("GET", "x") == b"1"

    def test_a_key_that_prepared_work_writes_is_not_read_by_others(self) -> None:
        with self.opened() as participant:
            self.staged(participant, ONE)
            error = refused(InDoubt, participant.begin(TWO).get, "x")
            assert isinstance(error, InDoubt)
            assert error.gid == ONE

    def test_a_key_that_was_read_before_is_not_relied_on_once_prepared_work_holds_it(self) -> None:
        with self.opened() as participant:
            participant.begin(TWO).get("x")
            self.staged(participant, ONE)
            refused(Aborted, participant.prepare, TWO)

    def test_a_key_that_was_changed_since_it_was_read_is_noticed(self) -> None:
        for end in ("prepare", "one_phase"):
            with self.opened() as participant:
                branch = participant.begin(ONE)
                branch.get("x")
                branch.hget("h", "f")
                branch.set("y", 1)
                self.ask("HSET", "h", "f", "other")
                error = refused(Aborted, getattr(participant, end), ONE)
                assert isinstance(error, Aborted)
                assert error.retryable
                assert self.ask("EXISTS", "y") == 0

    def test_two_that_each_write_what_the_other_has_read_do_not_both_commit(self) -> None:
        with self.opened() as participant:
            for gid, read, written in ((ONE, "x", "y"), (TWO, "y", "x")):
                branch = participant.begin(gid)
                branch.get(read)
                branch.set(written, gid)
            assert participant.prepare(ONE) is Vote.YES
            refused(Aborted, participant.prepare, TWO)

    def test_a_command_that_cannot_be_carried_out_is_found_before_the_first_one_is(self) -> None:
        for end in ("prepare", "one_phase"):
            with self.opened() as participant:
                self.ask("SET", "s", "text")
                branch = participant.begin(ONE)
                branch.set("x", 1)
                branch.hset("s", "f", 1)
                refused(Aborted, getattr(participant, end), ONE)
                assert self.ask("EXISTS", "x") == 0

    def test_what_the_user_may_not_do_is_found_before_anything_is_done(self) -> None:
        for end in ("prepare", "one_phase"):
            for rights in (
                ("resetkeys", "~ringfence:*", "~x"),
                ("-hset",),
                ("-setbit",),
                ("resetkeys", "~x", "~h"),
            ):
                with self.opened() as participant:
                    branch = participant.begin(ONE)
                    branch.set("x", 1)
                    branch.hset("h", "f", 1)
                    self.ask("ACL", "SETUSER", "default", *rights)
                    try:
                        refused(RingfenceError, getattr(participant, end), ONE)
                        self.ask("ACL", "SETUSER", "default", "+@all", "allkeys")
                        assert self.left() == []
                        assert self.ask("EXISTS", "x", "h") == 0
                    finally:
                        self.ask("ACL", "SETUSER", "default", "+@all", "allkeys")

    def test_a_right_that_is_lost_after_the_promise_leaves_the_work_whole(self) -> None:
        with self.opened() as participant:
            branch = participant.begin(ONE)
            branch.set("x", 1)
            branch.hset("h", "f", 1)
            participant.prepare(ONE)
            self.ask("ACL", "SETUSER", "default", "-hset")
            try:
                refused(HeuristicOutcome, participant.commit, ONE)
                assert self.ask("EXISTS", "x") == 0
            finally:
                self.ask("ACL", "SETUSER", "default", "+@all")
            participant.commit(ONE)
            assert self.ask("HGET", "h", "f") == b"1"

    def test_staged_work_that_cannot_be_carried_out_any_more_is_kept_and_told(self) -> None:
        with self.opened() as participant:
            branch = participant.begin(ONE)
            branch.set("x", 1)
            branch.hset("h", "f", 1)
            participant.prepare(ONE)
            self.ask("SET", "h", "written by a program that knows nothing of transactions")
            refused(HeuristicOutcome, participant.commit, ONE)
            assert self.ask("EXISTS", "x") == 0
            self.ask("DEL", "h")
            participant.commit(ONE)
            assert self.ask("HGET", "h", "f") == b"1"

    def test_a_prepare_that_comes_after_the_rollback_is_refused(self) -> None:
        with self.opened() as participant, self.opened_again() as successor:
            participant.begin(ONE).set("x", 1)
            successor.rollback(ONE)
            refused(Aborted, participant.prepare, ONE)
            assert successor.recover() == []

    def test_a_request_that_is_delivered_twice_changes_nothing_the_second_time(self) -> None:
        with self.opened() as participant:
            participant.begin(ONE).set("x", 1)
            again = self._request(participant, "prepare", ONE)
            assert run_again(participant, again) == [b"yes"]
            assert run_again(participant, again) == [b"over", b"prepared"]
            participant.commit(ONE)
            assert run_again(participant, again) == [b"over", b"committed"]
            self.staged(participant, TWO, value=2)
            participant.commit(TWO)
            participant.commit(ONE)
            assert self.ask("GET", "x") == b"2"

    def test_a_one_phase_commit_that_is_delivered_twice_changes_nothing_the_second_time(self) -> None:
        with self.opened() as participant:
            branch = participant.begin(ONE)
            branch.set("x", 1)
            sent = Recorded(participant)
            participant.one_phase(ONE)
            participant.begin(TWO).set("x", 2)
            participant.one_phase(TWO)
            assert participant.site.server.evaluate(*sent.requests[0]) == [b"over", b"committed"]
            assert self.ask("GET", "x") == b"2"

    def test_other_work_of_a_gid_that_was_used_before_is_refused(self) -> None:
        for end in ("prepare", "one_phase"):
            with self.opened() as participant, self.opened_again() as other:
                for opened, key in ((participant, "x"), (other, "y")):
                    opened.begin(ONE).set(key, 1)
                getattr(participant, end)(ONE)
                error = refused(Aborted, getattr(other, end), ONE)
                assert "two names" in str(error)
                assert self.ask("EXISTS", "y") == 0
                participant.commit(ONE)
                assert self.ask("MGET", "x", "y") == [b"1", None]

    def test_what_was_ended_otherwise_by_hand_is_told(self) -> None:
        with self.opened() as participant:
            self.staged(participant, ONE)
            participant.rollback(ONE)
            refused(HeuristicOutcome, participant.commit, ONE)
            self.staged(participant, TWO)
            participant.commit(TWO)
            refused(HeuristicOutcome, participant.rollback, TWO)
            self.staged(participant, THREE)
            self.ask("DEL", f"ringfence:{{txn}}:stage:{THREE}")
            with self.opened_again() as other:
                refused(HeuristicOutcome, other.commit, THREE)

    def test_a_newer_fence_refuses_an_older_one(self) -> None:
        for end in ("prepare", "one_phase"):
            with self.opened() as participant:
                for gid, fence in ((ONE, 9), (TWO, 10)):
                    participant.begin(gid).set(f"x{fence}", 1)
                    participant.guard(gid, "report", fence)
                    getattr(participant, end)(gid)
                    participant.commit(gid)
                participant.begin(THREE).set("x", 1)
                participant.guard(THREE, "report", 9)
                error = refused(FenceRejected, getattr(participant, end), THREE)
                assert isinstance(error, FenceRejected)
                assert (error.resource, error.fence, error.mark) == ("report", 9, 10)
                assert self.ask("EXISTS", "x") == 0

    def test_a_fence_that_refuses_raises_no_other_mark(self) -> None:
        with self.opened() as participant:
            self.ask("SET", "ringfence:guard:{b}", "9")
            participant.begin(ONE).set("x", 1)
            participant.guard(ONE, "a", 5)
            participant.guard(ONE, "b", 5)
            refused(FenceRejected, participant.prepare, ONE)
            assert self.ask("EXISTS", "ringfence:guard:{a}") == 0

    def test_a_newer_fence_waits_for_prepared_work_of_an_older_one(self) -> None:
        """What that writes at its commit would otherwise overwrite what was written under the newer fence."""
        for end in ("commit", "rollback"):
            with self.opened() as participant:
                self.fenced(participant, ONE, "x", 5)
                assert participant.prepare(ONE) is Vote.YES
                for ending in ("prepare", "one_phase"):
                    self.fenced(participant, TWO, "y", 6)
                    error = refused(Aborted, getattr(participant, ending), TWO)
                    assert isinstance(error, Aborted)
                    assert error.retryable
                    assert ONE in str(error)
                self.fenced(participant, THREE, "y", 5)
                assert participant.prepare(THREE) is Vote.YES
                for gid in (ONE, THREE):
                    getattr(participant, end)(gid)
                assert self.ask("EXISTS", "ringfence:guard:{report}:prepared") == 0
                self.fenced(participant, TWO, "y", 6)
                assert participant.prepare(TWO) is Vote.YES

    def fenced(self, participant: RedisParticipant, gid: str, key: str, fence: int) -> None:
        """Begin a branch that writes one key, under a fence."""
        participant.begin(gid).set(key, fence)
        participant.guard(gid, "report", fence)

    def test_work_that_was_promised_and_is_lost_is_told(self) -> None:
        """As when a replica takes over that has not heard of it."""
        with self.opened() as participant, self.opened_again() as other:
            self.staged(participant, ONE)
            assert other.recover() == [ONE]
            self.ask("FLUSHALL")
            for asked in (participant, participant, other):
                assert "lost" in str(refused(HeuristicOutcome, asked.commit, ONE))
            assert len([found for found in other.resolve_many([ONE, TWO], Outcome.COMMITTED) if found]) == 1

    def test_a_commit_of_what_nobody_here_knows_is_late(self) -> None:
        with self.opened() as participant, self.opened_again() as other:
            self.staged(participant, ONE)
            other.recover()
            for asked in (participant, participant, other, other):
                asked.commit(ONE)
            self.ask("FLUSHALL")
            for asked in (participant, other):
                asked.commit(ONE)

    def test_one_branch_at_a_time(self) -> None:
        with self.opened(alone=True) as participant:
            participant.begin(ONE)
            refused(StoreTimeout, participant.begin, TWO)
            participant.prepare(ONE)
            self.staged(participant, TWO)
            refused(InDoubt, participant.begin, THREE)
            participant.commit(TWO)
            participant.begin(THREE)
            participant.rollback(THREE)
            self.staged(participant, "main.1.4")

    def test_a_branch_whose_turn_is_over_is_refused(self) -> None:
        for end in ("prepare", "one_phase"):
            with self.opened(alone=True) as participant:
                participant.begin(ONE).set("x", 1)
                self.ask("DEL", "ringfence:{txn}:branch")
                participant.begin(TWO).set("x", 2)
                error = refused(Aborted, getattr(participant, end), ONE)
                assert isinstance(error, Aborted)
                assert error.retryable
                participant.rollback(ONE)
                refused(StoreTimeout, participant.begin, THREE)
                getattr(participant, end)(TWO)

    def test_a_branch_that_was_given_up_ends_the_turn_of_no_other(self) -> None:
        with self.opened(alone=True) as participant:
            participant.begin(ONE)
            self.ask("DEL", "ringfence:{txn}:branch")
            participant.begin(TWO)
            participant.rollback(ONE)
            refused(StoreTimeout, participant.begin, THREE)

    def test_a_branch_whose_turn_is_over_reads_nothing(self) -> None:
        with self.opened(alone=True) as participant:
            branch = participant.begin(ONE)
            self.ask("DEL", "ringfence:{txn}:branch")
            refused(Aborted, branch.get, "x")

    def test_reading_makes_the_turn_last(self) -> None:
        with self.opened(alone=True) as participant:
            branch = participant.begin(ONE)
            self.ask("PEXPIRE", "ringfence:{txn}:branch", "600000")
            branch.get("x")
            assert 0 < self.ask("PTTL", "ringfence:{txn}:branch") <= 1000

    def test_the_turn_of_a_client_that_died_ends_by_itself(self) -> None:
        with self.opened(alone=True) as participant:
            participant.begin(ONE)
            assert 0 < self.ask("PTTL", "ringfence:{txn}:branch") <= 1000

    def test_a_transaction_is_settled_once(self) -> None:
        with self.opened() as participant:
            participant.begin(ONE).set("x", 1)
            assert participant.settle(ONE) is Outcome.ABORTED
            refused(Aborted, participant.one_phase, ONE)
            participant.begin(TWO).set("x", 2)
            participant.one_phase(TWO)
            assert participant.settle(TWO) is Outcome.COMMITTED
            assert [participant.settled(gid) for gid in (ONE, TWO, THREE)] == [
                Outcome.ABORTED,
                Outcome.COMMITTED,
                None,
            ]

    def test_many_are_resolved_at_once(self) -> None:
        with self.opened() as participant:
            gids = [f"main.1.{number}" for number in range(1, 8)]
            for gid in gids:
                self.staged(participant, gid, key=gid)
            self.ask("DEL", f"ringfence:{{txn}}:stage:{gids[3]}")
            found = participant.resolve_many(gids, Outcome.COMMITTED)
            assert [type(error) for error in found] == [type(None)] * 3 + [HeuristicOutcome] + [
                type(None)
            ] * 3
            assert participant.recover() == [gids[3]]

    @contextmanager
    def opened_again(self) -> Iterator[RedisParticipant]:
        other = RedisParticipant(self.server.url, timeout=0.02)
        try:
            yield other
        finally:
            other.close()

    def _request(self, participant: RedisParticipant, operation: str, gid: str) -> Any:
        steps: Steps = participant._steps
        found = steps.request(operation, gid)
        assert found is not None
        return found[0].args


def run_again(participant: RedisParticipant, request: Any) -> Any:
    return participant.site.server.evaluate(*request)


class Recorded:
    """Keeps what is asked of a participant's server."""

    def __init__(self, participant: RedisParticipant) -> None:
        self.requests: list[Any] = []
        evaluate = participant.site.server.evaluate

        def recorded(*request: Any) -> Any:
            self.requests.append(request)
            return evaluate(*request)

        participant.site.server.evaluate = recorded
