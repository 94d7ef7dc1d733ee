"""A service that is asked over HTTP: the suite of all participants over the example, and what goes wrong on the way."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ringfence.errors import (
    Aborted,
    BackendUnavailable,
    HeuristicOutcome,
    InDoubt,
    InvalidType,
    InvalidValue,
    OutcomeUnknown,
    StoreError,
    StoreTimeout,
)
from ringfence.testing.participant import ParticipantSuite
from ringfence.testing.proxy import TO_CLIENT, TO_SERVER, Direction, Proxy
from ringfence.testing.servers.ports import free_ports
from ringfence.transactions import Outcome, TransactionManager, Vote
from ringfence.transactions import participants as participant_stores
from ringfence.transactions.participants.http import Garbled, HttpParticipant

from .service import Service

ONE, TWO = "main.1.1", "main.1.2"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("accounts"))
    try:
        service.start()
        yield service
    finally:
        service.kill()


@pytest.fixture
def service(kept: Service) -> Service:
    """Running, and without any account."""
    forget(kept)
    return kept


def forget(service: Service) -> None:
    with closing(sqlite3.connect(service.file, timeout=30)) as connection, connection:
        for table in ("account", "staged", "held", "ended", "settled", "mark"):
            connection.execute(f"DELETE FROM {table}")


def cents(service: Service, name: str = "a") -> int:
    with closing(sqlite3.connect(service.file, timeout=30)) as connection:
        found = connection.execute("SELECT cents FROM account WHERE name = ?", (name,)).fetchone()
    return 0 if found is None else int(found[0])


@pytest.fixture
def participant(service: Service) -> Iterator[HttpParticipant]:
    with closing(HttpParticipant(service.url)) as opened:
        yield opened


def add(amount: int, account: str = "a") -> dict[str, Any]:
    return {"account": account, "cents": amount}


class TestConformance(ParticipantSuite):
    service: Service

    @pytest.fixture(autouse=True)
    def running(self, service: Service) -> None:
        self.service = service

    def open(self) -> HttpParticipant:
        forget(self.service)
        return HttpParticipant(self.service.url)

    def restart(self, participant: Any) -> HttpParticipant:
        participant.close()
        self.service.kill()
        self.service.start()
        return HttpParticipant(self.service.url)

    def write(self, branch: Any, value: int) -> None:
        branch.do(add(value - (branch.ask("value") or 0), "value"))

    def read(self, branch: Any) -> int | None:
        found: int | None = branch.ask("value")
        return found

    def write_elsewhere(self, branch: Any, value: int) -> None:
        branch.do(add(value, "elsewhere"))

    def read_elsewhere(self, branch: Any) -> int | None:
        found: int | None = branch.ask("elsewhere")
        return found

    def fail(self, branch: Any) -> None:
        branch.do(add(-1000, "value"))
        with suppress(StoreError):
            branch.ask("value")


def test_a_refusal_gives_its_reason(participant: HttpParticipant) -> None:
    participant.begin(ONE).do(add(-1))
    with pytest.raises(Aborted, match="too little") as refused:
        participant.prepare(ONE)
    assert refused.value.retryable is False
    participant.begin(ONE).do(add(1))
    participant.prepare(ONE)
    participant.begin(TWO).do(add(1))
    with pytest.raises(Aborted, match=ONE) as refused:
        participant.prepare(TWO)
    assert refused.value.retryable is True


def test_what_was_ended_by_hand_is_told(participant: HttpParticipant) -> None:
    for gid, by_hand, asked in ((ONE, "rollback", "commit"), (TWO, "commit", "rollback")):
        participant.begin(gid).do(add(1))
        participant.prepare(gid)
        getattr(participant, by_hand)(gid)
        with pytest.raises(HeuristicOutcome):
            getattr(participant, asked)(gid)


def test_a_prepare_after_the_rollback_is_refused(service: Service, participant: HttpParticipant) -> None:
    participant.begin(ONE).do(add(1))
    with closing(HttpParticipant(service.url)) as successor:
        successor.rollback(ONE)
    with pytest.raises(Aborted, match="aborted before"):
        participant.prepare(ONE)


def test_a_lost_answer_is_asked_for_again_under_the_same_key(service: Service) -> None:
    with (
        Proxy(service.port) as proxy,
        closing(HttpParticipant(f"http://127.0.0.1:{proxy.port}")) as participant,
    ):
        for gid, amount in ((ONE, 1), (TWO, 2)):
            participant.begin(gid).do(add(amount))
            proxy.lose_reply()
            assert participant.prepare(gid) is Vote.YES
            proxy.lose_reply()
            participant.commit(gid)
        participant.begin("main.1.3").do(add(4))
        proxy.lose_reply()
        participant.one_phase("main.1.3")
    assert cents(service) == 7


def test_a_service_that_stays_silent_is_unknown(service: Service) -> None:
    with closing(HttpParticipant(service.url, timeout=0.2)) as participant:
        participant.begin(ONE).do(add(1))
        service.pause()
        try:
            with pytest.raises(OutcomeUnknown):
                participant.prepare(ONE)
        finally:
            service.resume()
    with closing(HttpParticipant(service.url)) as participant:
        participant.rollback(ONE)
        assert participant.recover() == []


def test_a_service_that_is_not_there_was_sent_nothing() -> None:
    [port] = free_ports(1)
    with closing(HttpParticipant(f"http://127.0.0.1:{port}/bank")) as participant:
        participant.begin(ONE).do(add(1))
        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            participant.one_phase(ONE)


class Canned(BaseHTTPRequestHandler):
    """Answers whatever it is asked with the first of some answers, and the last one for ever."""

    answers: ClassVar[list[tuple[int, bytes]]] = []
    heard: ClassVar[list[tuple[str, str | None, str | None]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((self.path, self.headers["Idempotency-Key"], self.headers["Authorization"]))
        status, data = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def canned() -> Iterator[tuple[str, type[Canned]]]:
    class Own(Canned):
        answers: ClassVar[list[tuple[int, bytes]]] = []
        heard: ClassVar[list[tuple[str, str | None, str | None]]] = []

    server = HTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/bank", Own
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([(200, b'{"vote": "yes"}')], Vote.YES),
        ([(200, b'{"vote": "no"}')], Vote.NO),
        ([(503, b""), (200, b'{"vote": "yes"}')], Vote.YES),
        ([(500, b""), (429, b""), (200, b'{"vote": "yes"}')], Vote.YES),
        ([(503, b"")], StoreTimeout),
        ([(500, b""), (503, b"")], OutcomeUnknown),
        ([(502, b"")], OutcomeUnknown),
        ([(200, b'{"vote": "perhaps"}')], StoreError),
        ([(200, b"yes")], Garbled),
        ([(404, b"{}")], StoreError),
        ([(409, b"{}")], Aborted),
        ([(409, b"sorry")], Aborted),
        ([(409, b'{"reason": "busy", "retryable": true}')], Aborted),
    ],
)
def test_votes_come_from_the_answer(
    canned: tuple[str, type[Canned]], answers: list[tuple[int, bytes]], expected: Any
) -> None:
    url, handler = canned
    handler.answers[:] = answers
    with closing(HttpParticipant(url, name="bank", headers={"Authorization": "Bearer x"})) as participant:
        participant.begin(ONE).do({"any": "thing"})
        if isinstance(expected, Vote):
            assert participant.prepare(ONE) is expected
        else:
            with pytest.raises(expected) as raised:
                participant.prepare(ONE)
            assert type(raised.value) is expected
    assert set(handler.heard) == {("/bank/prepare", f"{ONE}:bank:prepare", "Bearer x")}


@pytest.mark.parametrize(
    "answers", [*([(500, b""), (status, b"{}")] for status in (401, 404, 409, 413)), [(200, b"<html>")]]
)
def test_a_refusal_to_commit_is_no_answer_to_an_earlier_attempt(
    canned: tuple[str, type[Canned]], tmp_path: Path, answers: list[tuple[int, bytes]]
) -> None:
    """The first one may still arrive, so that settling decides."""
    url, handler = canned
    handler.answers[:] = [*answers, (200, b'{"outcome": "committed"}')]
    with (
        TransactionManager(f"sqlite:///{tmp_path}/decisions.db", {"bank": url}) as manager,
        manager.transaction() as tx,
    ):
        tx["bank"].do({"any": "thing"})
    assert [path for path, *_ in handler.heard] == ["/bank/one-phase"] * len(answers) + ["/bank/settle"]


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("recover", b"{}"),
        ("recover", b'{"gids": null}'),
        ("settled", b"{}"),
        ("settled", b'{"outcome": "perhaps"}'),
        ("settle", b'{"outcome": null}'),
        ("settle", b'{"outcome": []}'),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_the_store(
    canned: tuple[str, type[Canned]], operation: str, answer: bytes
) -> None:
    url, handler = canned
    handler.answers[:] = [(200, answer)]
    with closing(HttpParticipant(url)) as participant, pytest.raises(StoreError):
        getattr(participant, operation)(ONE)
    assert [key for _, key, _ in handler.heard] == [
        f"{ONE}:{url.removeprefix('http://')}:settle" if operation == "settle" else None
    ]


def test_an_answer_without_what_was_asked_for_fails_the_branch(canned: tuple[str, type[Canned]]) -> None:
    url, handler = canned
    handler.answers[:] = [(200, b"{}")]
    with closing(HttpParticipant(url)) as participant:
        with pytest.raises(StoreError, match="lacks"):
            participant.begin(ONE).ask("value")
        with pytest.raises(Aborted):
            participant.prepare(ONE)


def test_branches_of_others_are_left_alone(canned: tuple[str, type[Canned]]) -> None:
    url, handler = canned
    handler.answers[:] = [(200, b'{"gids": ["main", 7, null, "main.one.2", "main.1.1", "main.1.1.5"]}')]
    with closing(HttpParticipant(url)) as participant:
        assert participant.recover("main") == [ONE]


def test_a_mark_that_is_none_is_a_refusal_all_the_same(canned: tuple[str, type[Canned]]) -> None:
    url, handler = canned
    handler.answers[:] = [(409, b'{"reason": "stale", "mark": "new"}')]
    with closing(HttpParticipant(url)) as participant:
        participant.begin(ONE).do({"any": "thing"})
        with pytest.raises(Aborted, match="stale"):
            participant.prepare(ONE)


def test_what_was_refused_or_rolled_back_never_commits_in_one_phase(
    service: Service, participant: HttpParticipant
) -> None:
    participant.begin(ONE).do(add(-1))
    with pytest.raises(Aborted, match="too little"):
        participant.one_phase(ONE)
    participant.rollback(TWO)
    for gid in (ONE, TWO):
        participant.begin(gid).do(add(1))
        with pytest.raises(Aborted, match="settled as aborted"):
            participant.one_phase(gid)
    assert cents(service) == 0


def test_nothing_is_sent_that_is_no_json(participant: HttpParticipant) -> None:
    branch = participant.begin(ONE)
    with pytest.raises(InvalidType):
        branch.do({1, 2})
    assert branch.wrote is False


@pytest.mark.parametrize("url", ["http://", "https://host/bank?x=1", "ftp://host/bank", "http://host/#there"])
def test_a_url_is_one_of_http(url: str) -> None:
    with pytest.raises(InvalidValue):
        HttpParticipant(url)


def test_a_url_opens_it(service: Service) -> None:
    with closing(participant_stores.from_url(service.url, 1.0)) as opened:
        assert isinstance(opened, HttpParticipant)


@pytest.mark.parametrize(
    ("direction", "points"), [(TO_SERVER, range(1, 2500, 131)), (TO_CLIENT, range(1, 900, 61))]
)
def test_a_connection_may_be_cut_at_any_point_of_a_transaction(
    service: Service, tmp_path: Path, direction: Direction, points: range
) -> None:
    """Everything happened or nothing did, and what was acknowledged has happened."""
    with Proxy(service.port) as proxy:
        stores = {"there": f"http://127.0.0.1:{proxy.port}", "here": f"sqlite:///{tmp_path}/here.db"}
        acknowledged = unknown = 0
        with TransactionManager(f"sqlite:///{tmp_path}/decisions.db", stores) as manager:
            with manager.transaction() as tx:
                tx["here"].execute("CREATE TABLE moved (cents INTEGER)")
            for point in points:
                proxy.cut_after(point, direction)
                try:
                    with manager.transaction() as tx:
                        tx["there"].do(add(1))
                        tx["here"].execute("INSERT INTO moved VALUES (1)")
                except (Aborted, StoreError):
                    pass
                except InDoubt:
                    unknown += 1
                else:
                    acknowledged += 1
        with TransactionManager(f"sqlite:///{tmp_path}/decisions.db", stores) as successor:
            assert successor.recover().unresolved == []
            with successor.transaction() as tx:
                [(here,)] = tx["here"].execute("SELECT count(*) FROM moved")
    assert cents(service) == here
    assert acknowledged <= here <= acknowledged + unknown


def test_killed_after_its_promise_it_keeps_it(service: Service, participant: HttpParticipant) -> None:
    participant.begin(ONE).do(add(5))
    participant.prepare(ONE)
    service.kill()
    service.start()
    assert participant.recover("main.") == [ONE]
    participant.commit(ONE)
    participant.commit(ONE)
    assert cents(service) == 5
    assert participant.settle(TWO) is Outcome.ABORTED
    assert participant.settled(TWO) is Outcome.ABORTED
