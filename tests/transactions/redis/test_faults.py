"""Servers that are killed, stopped and unreachable, connections that are cut or lose replies: all or nothing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from ringfence.errors import Aborted, BackendUnavailable, InDoubt, OutcomeUnknown, StoreError
from ringfence.testing.proxy import TO_CLIENT, TO_SERVER, Direction, Proxy
from ringfence.testing.servers import resp
from ringfence.testing.servers.ports import free_ports
from ringfence.testing.servers.redis import Redis
from ringfence.testing.switches.replaced import replaced
from ringfence.transactions import Outcome, TransactionManager, Vote
from ringfence.transactions.participants.redis import RedisParticipant, aio
from ringfence.transactions.participants.redis import server as asking

pytestmark = pytest.mark.servers

ONE, TWO = "main.1.1", "main.1.2"


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with Redis(durable=True) as started:
        yield started


@pytest.fixture
def server(redis: Redis) -> Redis:
    redis.start()
    resp.ask(redis.port, "FLUSHALL")
    return redis


@pytest.fixture
def proxy(server: Redis) -> Iterator[Proxy]:
    with Proxy(server.port) as opened:
        yield opened


@pytest.fixture
def participant(proxy: Proxy) -> Iterator[RedisParticipant]:
    """Through the proxy; the server knows its scripts already, so that one request is one round trip."""
    opened = RedisParticipant(f"redis://127.0.0.1:{proxy.port}/0", timeout=0.05)
    for gid, end in ((TWO, "commit"), ("main.1.3", "rollback")):
        opened.begin(gid).set("x", 0)
        opened.prepare(gid)
        getattr(opened, end)(gid)
    opened.begin("main.1.4").set("x", 0)
    opened.one_phase("main.1.4")
    yield opened
    opened.close()


def value(server: Redis, key: str = "x") -> int:
    return int(resp.ask(server.port, "GET", key) or 0)


def test_a_prepare_that_is_not_answered_is_a_vote_against_and_leaves_nothing(
    server: Redis, proxy: Proxy, participant: RedisParticipant
) -> None:
    participant.begin(ONE).set("x", 1)
    proxy.lose_reply()
    with pytest.raises(OutcomeUnknown):
        participant.prepare(ONE)
    assert participant.prepare(ONE) is Vote.YES  # it had got there
    participant.rollback(ONE)
    assert participant.recover() == []
    assert value(server) == 0


def test_a_commit_that_is_not_answered_is_asked_for_again(
    server: Redis, proxy: Proxy, participant: RedisParticipant
) -> None:
    participant.begin(ONE).incrby("x", 5)
    participant.prepare(ONE)
    proxy.lose_reply()
    with pytest.raises(OutcomeUnknown):
        participant.commit(ONE)
    participant.commit(ONE)
    assert value(server) == 5


def test_a_one_phase_commit_that_is_not_answered_is_settled(
    server: Redis, proxy: Proxy, participant: RedisParticipant
) -> None:
    participant.begin(ONE).incrby("x", 5)
    proxy.lose_reply()
    with pytest.raises(OutcomeUnknown):
        participant.one_phase(ONE)
    assert participant.settle(ONE) is Outcome.COMMITTED
    assert value(server) == 5


def test_a_one_phase_commit_that_does_not_get_there_never_will_once_it_is_settled(
    server: Redis, proxy: Proxy, participant: RedisParticipant
) -> None:
    participant.begin(ONE).incrby("x", 5)
    proxy.cut_after(10, TO_SERVER)
    with pytest.raises(OutcomeUnknown):
        participant.one_phase(ONE)
    assert participant.settle(ONE) is Outcome.ABORTED
    assert value(server) == 0


def test_prepared_work_outlasts_a_kill_and_holds_its_keys(server: Redis) -> None:
    with closing(RedisParticipant(server.url, timeout=0.05)) as participant:
        participant.begin(ONE).set("x", 1)
        participant.prepare(ONE)
        server.kill()
        server.start()
        with pytest.raises(InDoubt):
            participant.begin(TWO).get("x")
        participant.commit(ONE)
        server.kill()
        server.start()
        assert value(server) == 1
        participant.commit(ONE)


def test_a_server_that_is_not_there_any_more_was_sent_nothing(
    proxy: Proxy, participant: RedisParticipant
) -> None:
    participant.begin(ONE).set("x", 1)
    proxy.refuse()
    proxy.cut()
    with pytest.raises(BackendUnavailable, match=f"redis://127.0.0.1:{proxy.port}/0"):
        participant.one_phase(ONE)


def test_a_server_that_is_not_there_is_told_without_secrets() -> None:
    [port] = free_ports(1)
    with closing(RedisParticipant(f"redis://:secret@127.0.0.1:{port}/0")) as participant:
        with pytest.raises(BackendUnavailable, match=f"redis://127.0.0.1:{port}/0") as error:
            participant.begin(ONE)
        assert "secret" not in str(error.value)
        assert participant.capabilities.durable is False


def test_a_stopped_server_is_unknown_and_then_there_again(server: Redis) -> None:
    with replaced(asking, "PATIENCE", 0.3), closing(RedisParticipant(server.url)) as participant:
        participant.begin(ONE).set("x", 1)
        participant.recover()  # it is connected
        server.pause()
        try:
            with pytest.raises((OutcomeUnknown, BackendUnavailable)):
                participant.prepare(ONE)
        finally:
            server.resume()
        participant.rollback(ONE)
        assert participant.recover() == []


def test_a_forked_child_leaves_the_branch_to_its_parent(server: Redis) -> None:
    with closing(RedisParticipant(server.url, alone=True)) as participant:
        branch = participant.begin(ONE)
        branch.set("x", 1)

        def work() -> None:
            with pytest.raises(Aborted, match="forked"):
                branch.set("x", 2)
            with pytest.raises(Aborted):
                participant.prepare(ONE)
            participant.close()

        assert in_child(work) == 0
        participant.one_phase(ONE)
        assert value(server) == 1


def in_child(work: Callable[[], None]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads of the test runner
        child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def test_a_task_finds_a_server_that_was_killed_again(server: Redis) -> None:
    participant = aio.RedisParticipant(server.url, timeout=0.05)
    try:
        branch = await participant.begin(ONE)
        await branch.set("x", 1)
        await participant.prepare(ONE)
        server.kill()
        server.start()
        with suppress(StoreError):  # by what is left of the connection
            await participant.recover()
        assert await participant.recover() == [ONE]
        await participant.commit(ONE)
        assert value(server) == 1
    finally:
        await participant.close()


def transfer(manager: TransactionManager) -> None:
    with manager.transaction() as tx:
        tx["east"].incrby("x", -1)
        tx["west"].incrby("x", 1)


@pytest.mark.parametrize(
    ("direction", "points"), [(TO_SERVER, range(1, 6000, 257)), (TO_CLIENT, range(1, 60, 4))]
)
def test_a_connection_may_be_cut_at_any_point_of_a_transaction(
    server: Redis, proxy: Proxy, tmp_path: Path, direction: Direction, points: range
) -> None:
    """Everything happened or nothing did, and what was acknowledged has happened."""
    url = f"redis://127.0.0.1:{proxy.port}"
    stores = {"east": f"{url}/0", "west": f"{url}/1"}
    with TransactionManager(f"sqlite:///{tmp_path}/decisions.db", stores, timeout=0.05) as manager:
        acknowledged = unknown = 0
        for point in points:
            proxy.cut_after(point, direction)
            try:
                transfer(manager)
            except (Aborted, StoreError):
                pass
            except InDoubt:
                unknown += 1
            else:
                acknowledged += 1
        with TransactionManager(f"sqlite:///{tmp_path}/decisions.db", stores, timeout=5) as successor:
            assert successor.recover().unresolved == []
            with successor.transaction() as tx:
                found = [int(tx[name].get("x") or 0) for name in stores]
    assert found[0] == -found[1]
    assert acknowledged <= found[1] <= acknowledged + unknown
