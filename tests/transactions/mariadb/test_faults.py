"""MariaDB killed, stopped and cut off in every phase: all or nothing, and nothing left prepared or locked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

import pymysql
import pytest

from ringfence.errors import HeuristicOutcome, OutcomeUnknown, RingfenceError, StoreError, StoreTimeout
from ringfence.protocol import run
from ringfence.testing.proxy import TO_CLIENT, TO_SERVER, Proxy
from ringfence.transactions import Outcome, Vote
from ringfence.transactions.decisions.mariadb import MariaDecisions
from ringfence.transactions.participants.mariadb import MariaParticipant

from .databases import Databases, name_of, put

GID, OTHER = "main.1.1", "main.1.2"
COMMITTED, ABORTED = Outcome.COMMITTED, Outcome.ABORTED
ENDS = [("commit", 1), ("rollback", None)]


@pytest.fixture
def url(databases: Databases) -> str:
    return databases.new()


@pytest.fixture
def participant(url: str) -> Iterator[MariaParticipant]:
    with closing(MariaParticipant(url, timeout=5)) as opened:
        yield opened


def impatient(participant: MariaParticipant) -> MariaParticipant:
    """Let it wait for an answer for a second only, where a test has none come."""
    participant.database.patience = 1.0
    return participant


@pytest.mark.parametrize(("end", "value"), ENDS)
def test_a_server_killed_between_the_phases(
    databases: Databases, url: str, participant: MariaParticipant, end: str, value: int | None
) -> None:
    put(participant.begin(GID), 1)
    participant.prepare(GID)
    databases.server.kill()
    with pytest.raises(StoreError):
        getattr(participant, end)(GID)
    databases.server.start()
    assert participant.recover() == [GID]
    getattr(participant, end)(GID)
    assert (databases.value(url), databases.prepared()) == (value, [])


def test_a_server_killed_before_the_first_phase(
    databases: Databases, url: str, participant: MariaParticipant
) -> None:
    put(participant.begin(GID), 1)
    databases.server.kill()
    with pytest.raises(OutcomeUnknown):
        participant.prepare(GID)
    databases.server.start()
    participant.rollback(GID)
    assert (databases.value(url), databases.prepared()) == (None, [])
    put(participant.begin(OTHER), 2)
    participant.one_phase(OTHER)
    assert databases.value(url) == 2


def test_a_server_that_stands_still_leaves_no_vote_behind(
    databases: Databases, url: str, participant: MariaParticipant
) -> None:
    put(participant.begin(GID), 1)
    databases.server.pause()
    with pytest.raises(OutcomeUnknown):
        impatient(participant).prepare(GID)
    databases.server.resume()  # and it finds the request
    participant.database.patience = 30.0
    participant.rollback(GID)
    assert (databases.value(url), databases.prepared()) == (None, [])


@pytest.mark.parametrize(("end", "value"), ENDS)
def test_a_branch_held_by_a_session_whose_process_is_gone_without_a_word(
    databases: Databases, proxy: Proxy, end: str, value: int | None
) -> None:
    url = databases.new(proxy.port)
    with closing(MariaParticipant(url, timeout=5)) as dead:
        put(dead.begin(GID), 1)
        dead.prepare(GID)
        proxy.half_open(TO_CLIENT)
        proxy.refuse()
        with closing(MariaParticipant(direct(databases, url), timeout=5)) as successor:
            assert successor.recover("main.") == [GID]
            getattr(successor, end)(GID)
            assert (databases.value(url), databases.prepared()) == (value, [])
            put(successor.begin(OTHER), 2)
            successor.one_phase(OTHER)


@pytest.mark.parametrize(("end", "value"), ENDS)
def test_a_branch_held_by_a_process_that_lives_on(
    databases: Databases, url: str, participant: MariaParticipant, end: str, value: int | None
) -> None:
    """Taken over by another one, it can do no more harm, and is told nothing wrong."""
    put(participant.begin(GID), 1)
    participant.prepare(GID)
    with closing(MariaParticipant(url, timeout=5)) as successor:
        getattr(successor, end)(GID)
    getattr(participant, end)(GID)
    assert (databases.value(url), databases.prepared()) == (value, [])
    put(participant.begin(OTHER), 2)
    participant.one_phase(OTHER)
    assert databases.value(url) == 2


def test_a_request_to_prepare_that_comes_late_prepares_nothing(databases: Databases, proxy: Proxy) -> None:
    url = databases.new(proxy.port)
    with (
        closing(MariaParticipant(url, timeout=5)) as slow,
        closing(MariaParticipant(direct(databases, url), timeout=5)) as other,
    ):
        branch = slow.begin(GID)
        put(branch, 1)
        proxy.hold()
        with pytest.raises(OutcomeUnknown):
            impatient(slow).prepare(GID)
        run(other.resolving.end(GID, ABORTED, prepared=False, token=branch.session.token))
        proxy.flow()
        assert (databases.value(url), databases.prepared()) == (None, [])


def test_resolved_by_hand(databases: Databases, url: str) -> None:
    for seq, (end, verb) in enumerate([("commit", "ROLLBACK"), ("rollback", "COMMIT")], 1):
        gid = f"main.1.{seq}"
        with closing(MariaParticipant(url, timeout=5)) as participant:
            put(participant.begin(gid), 1)
            participant.prepare(gid)
        with closing(MariaParticipant(url, timeout=5)) as participant:
            assert participant.recover() == [gid]
            by_hand(databases, verb)
            with pytest.raises(HeuristicOutcome, match="by hand") as raised:
                getattr(participant, end)(gid)
            assert raised.value.gid == gid
            assert "password" not in raised.value.branch


def test_resolved_by_hand_as_decided_is_nothing_to_report(databases: Databases, url: str) -> None:
    for seq, end in enumerate(("commit", "rollback"), 1):
        gid = f"main.1.{seq}"
        with closing(MariaParticipant(url, timeout=5)) as participant:
            put(participant.begin(gid), 1)
            participant.prepare(gid)
        with closing(MariaParticipant(url, timeout=5)) as participant:
            assert participant.recover() == [gid]
            by_hand(databases, end.upper())
            getattr(participant, end)(gid)
            assert participant.recover() == []


def test_databases_of_one_server_do_not_meet(databases: Databases, url: str) -> None:
    with (
        closing(MariaParticipant(url, timeout=5)) as east,
        closing(MariaParticipant(databases.new(), timeout=5)) as west,
    ):
        for participant in (east, west):
            put(participant.begin(GID), 1)
            assert participant.prepare(GID) is Vote.YES
        east.commit(GID)
        assert (east.recover(), west.recover()) == ([], [GID])
        east.rollback("main.1.9")
        west.rollback(GID)
        assert (databases.value(url), databases.prepared()) == (1, [])


def test_what_others_prepared_is_never_touched(
    databases: Databases, url: str, participant: MariaParticipant
) -> None:
    digest = "0" * 16
    foreign = ["'theirs'", f"'main.1','1.{digest}',1380349048", "'main.1','1.x',1"]
    for name in foreign:
        with databases.connect(name_of(url)) as connection, connection.cursor() as cursor:
            for statement in (f"XA START {name}", "DO 1", f"XA END {name}", f"XA PREPARE {name}"):
                cursor.execute(statement)
            assert participant.recover() == []
            participant.rollback(GID)
            assert len(databases.prepared()) == 1
            cursor.execute(f"XA ROLLBACK {name}")


def test_a_lost_reply_to_a_commit_in_one_phase_is_settled(databases: Databases, proxy: Proxy) -> None:
    url = databases.new(proxy.port)
    with closing(MariaParticipant(url, timeout=5)) as participant:
        put(participant.begin(GID), 1)
        proxy.lose_reply()
        with pytest.raises(OutcomeUnknown):
            participant.one_phase(GID)
        assert participant.settle(GID) is COMMITTED
        assert databases.value(url) == 1


def test_a_lost_reply_to_a_decision_is_what_the_row_says(databases: Databases, proxy: Proxy) -> None:
    url = databases.new(proxy.port)
    with (
        closing(MariaParticipant(url, timeout=5)) as participant,
        closing(participant.decision_store()) as decisions,
    ):
        decisions.begin_epoch("main")
        put(participant.begin(GID), 1)
        proxy.lose_reply()
        with pytest.raises(OutcomeUnknown):
            participant.decide(GID)
        assert decisions.put_if_absent(GID, ABORTED) is COMMITTED
        assert databases.value(url) == 1


def test_a_decision_that_never_arrived_can_be_aborted(databases: Databases, proxy: Proxy) -> None:
    url = databases.new(proxy.port)
    with (
        closing(MariaParticipant(url, timeout=5)) as participant,
        closing(participant.decision_store()) as decisions,
    ):
        decisions.begin_epoch("main")
        put(participant.begin(GID), 1)
        proxy.cut_after(20, TO_SERVER)
        with pytest.raises(OutcomeUnknown):
            participant.decide(GID)
        assert decisions.put_if_absent(GID, ABORTED) is ABORTED
        participant.rollback(GID)
        assert databases.value(url) is None


def test_a_decision_waits_for_another_one_of_the_same_gid_for_a_bounded_time(
    databases: Databases, url: str
) -> None:
    with closing(MariaDecisions(url, timeout=1)) as decisions:
        decisions.begin_epoch("main")
        with databases.connect(name_of(url)) as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"INSERT INTO ringfence_decision VALUES ('{GID}', 'committed')")
            for outcome in (ABORTED, COMMITTED):
                with pytest.raises(StoreTimeout):
                    decisions.put_if_absent(GID, outcome)
            cursor.execute("ROLLBACK")
        assert decisions.put_if_absent(GID, ABORTED) is ABORTED


def test_a_new_start_waits_for_the_decision_that_read_its_epoch(databases: Databases, url: str) -> None:
    with closing(MariaDecisions(url, timeout=30)) as decisions:
        decisions.begin_epoch("main")
        with databases.connect(name_of(url)) as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT epoch FROM ringfence_epoch WHERE name = 'main' LOCK IN SHARE MODE")
            started: list[int] = []
            thread = threading.Thread(target=lambda: started.append(decisions.begin_epoch("main")))
            thread.start()
            thread.join(0.3)
            assert started == []
            cursor.execute("COMMIT")
            thread.join(60)
        assert started == [2]


FAULTS: dict[str, tuple[Callable[[Proxy, int], None], Iterable[int]]] = {
    "request cut": (lambda proxy, count: proxy.cut_after(count, TO_SERVER), range(1, 1200, 95)),
    "reply lost": (lambda proxy, number: proxy.lose_reply(number), range(1, 16)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_connections_that_break_anywhere(databases: Databases, proxy: Proxy, fault: str) -> None:
    """Whatever was done of which request: all or nothing, as the decision says."""
    break_at, places = FAULTS[fault]
    with closing(MariaDecisions(databases.new(), timeout=5)) as decisions:
        decisions.begin_epoch("main")
        url = databases.new(proxy.port)
        with closing(MariaParticipant(url, timeout=5)) as participant:
            participant.recover()  # makes the tables
            found = []
            for seq, place in enumerate(places, 1):
                break_at(proxy, place)
                found.append(ended_in_two_phases(databases, participant, decisions, seq))
        assert set(found) == {COMMITTED, ABORTED}
        assert (found[0], found[-1]) == (ABORTED, COMMITTED)


def ended_in_two_phases(
    databases: Databases, participant: MariaParticipant, decisions: MariaDecisions, seq: int
) -> Outcome:
    """End a transaction as a coordinator would that meets with a fault once."""
    gid = f"main.1.{seq}"
    before = databases.value(str(participant.database))
    try:
        put(participant.begin(gid), seq)
        voted = participant.prepare(gid)
    except RingfenceError:
        voted = Vote.NO
    decided = decisions.put_if_absent(gid, COMMITTED if voted is Vote.YES else ABORTED)
    end = participant.commit if decided is COMMITTED else participant.rollback
    try:
        end(gid)
    except StoreError:
        end(gid)
    assert databases.value(str(participant.database)) == (seq if decided is COMMITTED else before)
    assert databases.prepared() == []
    return decided


def direct(databases: Databases, url: str) -> str:
    """The URL of the same database without the proxy."""
    return f"mariadb://root@127.0.0.1:{databases.server.port}/{name_of(url)}"


def by_hand(databases: Databases, verb: str) -> None:
    """End the only prepared branch from a console, as soon as its session has ended."""
    [(form, gtrid, _, data)] = databases.prepared()
    text = data.decode()
    statement = f"XA {verb} '{text[:gtrid]}','{text[gtrid:]}',{form}"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            databases.ask("", statement)
        except pymysql.OperationalError:  # unknown to others as long as its session lives
            time.sleep(0.02)
        else:
            return
    raise AssertionError("its session did not end")
