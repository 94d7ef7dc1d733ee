"""A primary whose machine is gone without a word, and a replica that takes its place: the participant finds it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any, TypeVar

import pytest

from ringfence import _redis
from ringfence.errors import BackendUnavailable, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import Server, resp
from ringfence.testing.servers.ports import HOST
from ringfence.testing.servers.redis import Redis
from ringfence.testing.servers.redis_cluster import RedisCluster, replication
from ringfence.testing.servers.redis_sentinel import RedisSentinel
from ringfence.testing.servers.tree import until
from ringfence.testing.switches.replaced import replaced
from ringfence.transactions import Outcome, Vote
from ringfence.transactions.participants.redis import RedisParticipant, aio, cluster
from ringfence.transactions.participants.redis import server as asking

pytestmark = pytest.mark.servers

PATIENCE = 120.0
SILENCE = 0.5
"""Seconds after which these tests take a server for silent."""

T = TypeVar("T")


@pytest.fixture
def impatient() -> Iterator[None]:
    with ExitStack() as stack:
        for module in (asking, cluster):
            stack.enter_context(replaced(module, "PATIENCE", SILENCE))
        yield


class Silenced:
    """A participant in a slot of a Redis Cluster, behind a proxy that will let nothing through."""

    def __init__(self, url: str, tag: str, kind: Any, client: Any) -> None:
        self.participant = kind(f"{url}?tag={tag}")
        self.key = f"x{{{tag}}}"
        self.server = self.participant.site.server
        self.client = client

    def goes_through(self, port: int) -> None:
        self.server._client = self.client(f"redis://{HOST}:{port}", timeout=SILENCE)


def primary_of(url: str, tag: str) -> int:
    """The port of the node that serves the slot of a tag."""
    with closing(RedisParticipant(f"{url}?tag={tag}")) as participant:
        participant.recover()
        return int(participant.site.server._client.connection_pool.connection_kwargs["port"])


def test_a_node_that_is_silent_is_asked_once(redis_cluster_server: Server) -> None:
    url, tag = redis_cluster_server.url, "silent"
    with Proxy(primary_of(url, tag)) as proxy:
        one = Silenced(url, tag, RedisParticipant, _redis.client)
        with closing(one.participant):
            one.participant.begin("main.1.1").set(one.key, 1)
            one.goes_through(proxy.port)
            assert one.participant.prepare("main.1.1") is Vote.YES
            proxy.hold()
            with pytest.raises(OutcomeUnknown):
                one.participant.commit("main.1.1")
            one.participant.commit("main.1.1")
            assert one.participant.begin("main.1.2").get(one.key) == b"1"
            one.participant.rollback("main.1.2")


@pytest.mark.parametrize("ask", ["commit", "recover", "resolve_many"])
def test_a_node_that_is_silent_from_the_start_was_sent_nothing(
    redis_cluster_server: Server, ask: str
) -> None:
    url, tag = redis_cluster_server.url, f"unheard-{ask}"
    arguments = {"commit": ("main.1.1",), "recover": (), "resolve_many": (["main.1.1"], Outcome.COMMITTED)}
    with Proxy(primary_of(url, tag)) as proxy:
        one = Silenced(url, tag, RedisParticipant, _redis.client)
        with closing(one.participant):
            one.participant.begin("main.1.1").set(one.key, 1)
            one.participant.prepare("main.1.1")
            one.goes_through(proxy.port)
            proxy.hold()
            insisting(lambda: getattr(one.participant, ask)(*arguments[ask]), times=2)


async def test_tasks_leave_a_silent_node(redis_cluster_server: Server) -> None:
    url, tag = redis_cluster_server.url, f"silent-tasks-{secrets.token_hex(4)}"
    with Proxy(primary_of(url, tag)) as proxy:
        one = Silenced(url, tag, aio.RedisParticipant, _redis.aclient)
        try:
            one.goes_through(proxy.port)
            await (await one.participant.begin("main.1.1")).set(one.key, 1)
            assert await one.participant.prepare("main.1.1") is Vote.YES
            proxy.hold()
            with pytest.raises(OutcomeUnknown):
                await one.participant.commit("main.1.1")
            await one.participant.commit("main.1.1")
        finally:
            await one.participant.close()


def test_many_that_were_asked_of_a_wrong_node_are_asked_of_the_right_one_next(
    redis_cluster_server: RedisCluster,
) -> None:
    url = redis_cluster_server.url
    wrong = next(node for node in redis_cluster_server.nodes if node.port != primary_of(url, "strayed"))
    one = Silenced(url, "strayed", RedisParticipant, _redis.client)
    with closing(one.participant):
        one.participant.begin("main.1.1").set(one.key, 1)
        one.participant.prepare("main.1.1")
        one.goes_through(wrong.port)
        [moved] = one.participant.resolve_many(["main.1.1"], Outcome.COMMITTED)
        assert isinstance(moved, StoreTimeout)
        assert one.participant.resolve_many(["main.1.1"], Outcome.COMMITTED) == [None]


def test_a_server_that_does_not_greet_was_sent_nothing(impatient: None) -> None:
    with Redis() as server, Proxy(server.port) as proxy:
        participant = RedisParticipant(f"redis://{HOST}:{proxy.port}")
        with closing(participant):
            participant.begin("main.1.1").set("x", 1)
            participant.site.server._client.connection_pool.disconnect()
            proxy.hold()
            with pytest.raises(BackendUnavailable):
                participant.one_phase("main.1.1")


@pytest.mark.slow
def test_prepared_work_is_committed_at_the_replica_that_took_over(impatient: None) -> None:
    with RedisCluster(node_timeout=1000) as servers:
        ports = {node.port: node for node in servers.nodes}
        primary = ports[primary_of(servers.url, "x")]
        participants = [RedisParticipant(f"{servers.url}?tag=x") for _ in range(2)]
        try:
            survives_power_off(participants, "k{x}", primary, lambda: replica_of(servers, primary))
        finally:
            for participant in participants:
                participant.close()


@pytest.mark.slow
def test_prepared_work_is_committed_at_the_primary_that_sentinels_name(impatient: None) -> None:
    with RedisSentinel(down_after=500) as servers:
        primary = servers.primary()
        participants = [RedisParticipant(servers.url) for _ in range(2)]
        try:
            survives_power_off(
                participants, "k", primary, lambda: next(one for one in servers.servers if one is not primary)
            )
        finally:
            for participant in participants:
                participant.close()


def survives_power_off(
    participants: list[RedisParticipant], key: str, primary: Redis, replica: Callable[[], Redis]
) -> None:
    """A coordinator's participant commits what it prepared, and a recoverer's what it finds."""
    own, recoverer = participants
    gids = [f"main.1.{number}" for number in range(1, 5)]
    for number, gid in enumerate(gids):
        own.begin(gid).set(f"{key}{number}", 1)
        own.prepare(gid)
    assert recoverer.recover() == gids
    follower = replica()
    until(lambda: resp.ask(primary.port, "WAIT", "1", "100") == 1, "nobody follows", patience=PATIENCE)
    primary.pause()
    try:
        until(lambda: "role:master" in replication(follower), "no replica took over", patience=PATIENCE)
        insisting(lambda: own.commit(gids[0]))
        assert set(insisting(recoverer.recover)) == set(gids[1:])
        assert insisting(lambda: recoverer.resolve_many(gids[1:], Outcome.COMMITTED)) == [None] * 3
        own.begin("main.1.9").set(f"{key}0", 2)
        insisting(lambda: own.prepare("main.1.9"))
        insisting(lambda: own.commit("main.1.9"))
        assert insisting(recoverer.recover) == []
    finally:
        primary.resume()


def replica_of(servers: RedisCluster, primary: Redis) -> Redis:
    mark = f"master_port:{primary.port}\r"
    return next(node for node in servers.nodes if mark in replication(node))


def insisting(work: Callable[[], T], times: int = 0) -> T:
    """Do it again until it is answered: a few times, or for a while."""
    end = time.monotonic() + PATIENCE
    tries = 0
    while True:
        try:
            return work()
        except StoreError:
            tries += 1
            if tries == times or time.monotonic() > end:
                raise
            time.sleep(0.05)
