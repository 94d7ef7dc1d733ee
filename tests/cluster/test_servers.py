"""Clusters whose shards are in servers: a Redis and a PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from ringfence.cluster import Cluster
from ringfence.cluster.shards import redis as redis_shard
from ringfence.errors import Aborted, InDoubt, InvalidValue, StaleRing, StoreTimeout
from ringfence.placement import HashRing
from ringfence.testing.servers import resp
from ringfence.testing.servers.redis import Redis
from ringfence.testing.switches.replaced import replaced
from ringfence.transactions.participants.redis import RedisParticipant
from ringfence.transactions.participants.redis.scripts import made

Store = Any
PATIENCE = 60.0
GID = "dead.1.1"

DEAD = """
import sys, time
from ringfence import Cluster
url, decisions, locks = sys.argv[1:]
cluster = Cluster({"a": url}, decisions=decisions, locks=locks, name="dead", timeout=2.0)
with cluster.transaction() as tx:
    tx.put("k", "of one who dies")
    print("ready", flush=True)
    time.sleep(60)
"""
"""Its timeout is short: where only time can tell that the holder of a shard's lock is dead, it tells soon."""


@dataclass
class Lease:
    name: str
    fence: int


def test_what_is_put_moves_and_comes_back_as_it_was(server_store: Store) -> None:
    cluster = server_store.open(ring=HashRing(["a", "b"]), timeout=PATIENCE)
    kept: dict[Any, Any] = {f"text {number}é": "värde" for number in range(30)}
    kept |= {number * 2**58: b"\x00\xff" for number in range(30)} | {b"bytes %d" % n: "" for n in range(30)}
    for key, value in kept.items():
        cluster.put(key, value)
    report = cluster.rebalance(cluster.ring.with_node("c"))
    assert 10 < report.keys < 60
    found = list(cluster.keys())
    assert {key: cluster.get(key) for key in found} == kept
    assert [cluster.delete(next(iter(kept))) for _ in range(2)] == [True, False]
    assert sorted(cluster.ring[key] for key in kept) == sorted(
        [name for name, _ in server_store.placed("abc")] + [cluster.ring[next(iter(kept))]]
    )
    again = server_store.open(name="other", timeout=PATIENCE)
    assert again.ring == cluster.ring
    assert len(list(again.keys())) == len(kept) - 1


def test_a_transaction_happens_on_all_shards_or_on_none(server_store: Store) -> None:
    cluster = server_store.open(timeout=PATIENCE)
    with cluster.transaction() as tx:
        for number in range(9):
            tx.put(f"k{number}", "1")
    with suppress(ZeroDivisionError), cluster.transaction() as tx:
        for number in range(9):
            tx.put(f"k{number}", "2")
        raise ZeroDivisionError
    assert {cluster.get(f"k{number}") for number in range(9)} == {"1"}


def test_transfers_side_by_side_lose_nothing(server_store: Store) -> None:
    names = [f"account {number}" for number in range(4)]
    clusters = [server_store.open(name=f"client-{number}", timeout=PATIENCE) for number in range(3)]
    for name in names:
        clusters[0].put(name, "100")
    threads = [threading.Thread(target=transfer, args=(cluster, names)) for cluster in clusters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sum(int(clusters[0].get(name) or 0) for name in names) == 400


def transfer(cluster: Cluster, names: list[str]) -> None:
    done = 0
    while done < 12:
        one, other = sorted((names[done % 4], names[(done + 1) % 4]), key=cluster.ring.lookup)
        with suppress(Aborted, StoreTimeout), cluster.transaction() as tx:
            tx.put(one, str(int(tx.get(one) or 0) - 1))
            tx.put(other, str(int(tx.get(other) or 0) + 1))
            done += 1


def test_a_client_that_is_killed_keeps_nobody_waiting_for_ever(server_store: Store) -> None:
    cluster = server_store.open("a", timeout=2.0)
    arguments = (server_store.urls["a"], server_store.decisions, server_store.locks)
    process = subprocess.Popen([sys.executable, "-c", DEAD, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()
    put_until_it_is(cluster, "k", "mine")
    assert cluster.get("k") == "mine"


def put_until_it_is(cluster: Cluster, key: str, value: str) -> None:
    for _ in range(15):
        try:
            return cluster.put(key, value)
        except StoreTimeout:
            pass
    raise AssertionError("the dead one keeps the shard")


def test_prepared_work_is_waited_for_and_recovered(server_store: Store) -> None:
    cluster = server_store.open("ab", timeout=0.2)
    cluster.put("k", "before")
    shard = cluster._view.shards[cluster.ring["k"]]
    shard.join(GID).put("k", "staged")
    shard.participant.prepare(GID)
    operations: list[Callable[[], object]] = [
        lambda: cluster.get("k"),
        lambda: cluster.put("k", "other"),
        lambda: cluster.delete("k"),
    ]
    for operation in operations:
        with pytest.raises(InDoubt, match=GID):
            operation()
    with pytest.raises(InDoubt, match=GID), cluster.transaction() as tx:
        tx.get("k")
    assert cluster.recover("dead").aborted == 1
    assert cluster.get("k") == "before"


def test_a_shard_refuses_those_with_an_older_ring(server_store: Store) -> None:
    cluster = server_store.open("ab", timeout=PATIENCE)
    cluster.put("k", "v")
    shard = cluster._view.shards[cluster.ring["k"]]
    cluster.rebalance(cluster.ring.with_weight("a", 1.5))
    operations: list[Callable[[], object]] = [
        lambda: shard.read("k", 0),
        lambda: shard.write("k", "stale", 0),
        lambda: shard.erase("k", 0),
        lambda: shard.page(0, float("-inf")),
    ]
    for operation in operations:
        with pytest.raises(StaleRing):
            operation()


def test_a_stale_lease_commits_nothing(server_store: Store) -> None:
    cluster = server_store.open("ab", timeout=PATIENCE)
    with cluster.transaction() as tx:
        tx.guard(Lease("report", 7))
        tx.put("k", "new")
        tx.put("l", "new")

    def late() -> None:
        with cluster.transaction() as tx:
            tx.put("k", "late")
            tx.guard(Lease("report", 6))
            tx.put("l", "late")

    with pytest.raises(Aborted, match="stale"):
        late()
    assert (cluster.get("k"), cluster.get("l")) == ("new", "new")


def test_a_participant_of_several_branches_is_no_shard(redis_shards: dict[str, str]) -> None:
    participant = RedisParticipant(redis_shards["a"])
    with pytest.raises(InvalidValue, match="alone=True"):
        Cluster({"a": participant}, decisions="memory://x", locks="memory://x")
    participant.close()


RULES = {
    "the epoch is compared": ("epoch ~= ARGV[1]", "false"),
    "prepared work is waited for": ("pending or redis.call('EXISTS'", "redis.call('EXISTS'"),
    "an open branch is waited for": ("redis.call('EXISTS', BRANCH) == 1", "false"),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("operation", ["WRITE", "ERASE"])
def test_a_rule_of_the_scripts_that_is_switched_off_is_found(
    redis_shards: dict[str, str], redis_shards_server: Redis, operation: str, rule: str
) -> None:
    old, new = RULES[rule]
    script = getattr(redis_shard, operation)
    assert old in script.text
    check_writes(redis_shards["a"], operation)
    resp.ask(redis_shards_server.port, "FLUSHALL")
    with replaced(redis_shard, operation, made(script.text.replace(old, new))), pytest.raises(AssertionError):
        check_writes(redis_shards["a"], operation)


def check_writes(url: str, operation: str) -> None:
    """Whoever is at work on a shard, or has changed its ring, finds it as it was."""
    with Cluster({"a": url}, decisions=f"memory://{url}", locks=f"memory://{url}", timeout=0.02) as cluster:
        cluster.put("k", "v")
        shard = cluster._view.shards["a"]

        def change(epoch: int) -> None:
            with suppress(InDoubt, StoreTimeout, StaleRing):
                shard.write("k", "changed", epoch) if operation == "WRITE" else shard.erase("k", epoch)
            assert value_of(shard) == "v"

        cluster.rebalance(cluster.ring.with_weight("a", 2.0))
        change(epoch=0)
        shard.join("main.9.1").put("l", "v")
        change(epoch=1)
        shard.participant.prepare("main.9.1")
        change(epoch=1)
        shard.participant.rollback("main.9.1")


def value_of(shard: Any) -> Any:
    """What a shard has, whatever is prepared there."""
    keys = shard.participant.site.keys
    value = shard.participant.site.server.ask("HGET", keys.own("entry"), b"sk")
    return None if value is None else value[1:].decode()
