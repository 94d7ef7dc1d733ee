"""A participant in one slot of a Redis Cluster."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from ringfence import _redis
from ringfence.errors import InvalidValue, StoreError, StoreTimeout
from ringfence.testing.participant_extras import FenceSuite
from ringfence.testing.servers import Server
from ringfence.transactions import Outcome, TransactionManager
from ringfence.transactions.participants.redis import RedisParticipant, aio

from .test_conformance import AioSuite, Blocking, RedisSuite

GID = "main.1.1"


class Clustered:
    """Each test has a tag of its own, for the cluster is everybody's."""

    count = 0
    url: str
    tag: str

    @pytest.fixture(autouse=True)
    def running(self, redis_cluster_server: Server) -> None:
        self.url = redis_cluster_server.url

    def open(self) -> Any:
        Clustered.count += 1
        self.tag = f"{type(self).__name__}-{Clustered.count}"
        return self.opened(0.05)  # type: ignore[attr-defined]

    def restart(self, participant: Any) -> Any:
        return self.opened(30.0)  # type: ignore[attr-defined]

    def made(self, timeout: float) -> Any:
        mark = "&" if "?" in self.url else "?"
        return self.kind(f"{self.url}{mark}tag={self.tag}", timeout)

    def kind(self, url: str, timeout: float) -> Any:
        return RedisParticipant(url, timeout=timeout)

    def write(self, branch: Any, value: int) -> None:
        branch.set(f"value {{{self.tag}}}", value)

    def read(self, branch: Any) -> int | None:
        found = branch.get(f"value {{{self.tag}}}")
        return None if found is None else int(found)

    def write_elsewhere(self, branch: Any, value: int) -> None:
        branch.set(f"elsewhere {{{self.tag}}}", value)

    def read_elsewhere(self, branch: Any) -> int | None:
        found = branch.get(f"elsewhere {{{self.tag}}}")
        return None if found is None else int(found)

    def fail(self, branch: Any) -> None:
        branch.hset(f"a hash {{{self.tag}}}", "a field", 1)
        with suppress(StoreError):
            branch.get(f"a hash {{{self.tag}}}")


for name in dir(FenceSuite):
    if name.startswith("test_"):
        setattr(Clustered, name, None)  # the marks of other resources are in other slots


class TestClustered(Clustered, RedisSuite):
    pass


class TestAioClustered(Clustered, AioSuite):
    def kind(self, url: str, timeout: float) -> Any:
        return Blocking(aio.RedisParticipant(url, timeout=timeout), self.loop)


@pytest.fixture
def url(redis_cluster_server: Server) -> str:
    return redis_cluster_server.url


def test_a_tag_is_needed(url: str) -> None:
    with pytest.raises(InvalidValue, match="needs"):
        RedisParticipant(url)


@pytest.mark.parametrize("key", ["k", "{other}k", "k{}{one}", "{{one}k"])
def test_keys_in_other_slots_are_refused(url: str, key: str) -> None:
    with closing(RedisParticipant(f"{url}?tag=one")) as participant:
        with pytest.raises(InvalidValue, match="slot"):
            participant.begin(GID).get(key)
        participant.rollback(GID)


def test_a_fence_of_the_tag_alone_is_compared(url: str) -> None:
    with closing(RedisParticipant(f"{url}?tag=guarded")) as participant:
        participant.begin(GID).set("k{guarded}", 1)
        with pytest.raises(InvalidValue, match="elsewhere"):
            participant.guard(GID, "report", 1)
        participant.guard(GID, "guarded", 1)
        participant.one_phase(GID)


def test_several_tags_of_one_cluster_take_part(url: str, tmp_path: Path) -> None:
    tags = [f"several-{number}" for number in range(4)]
    stores = {tag: f"{url}?tag={tag}" for tag in tags}
    with TransactionManager(f"sqlite:///{tmp_path}/decisions.db", stores) as manager:
        with manager.transaction() as tx:
            for tag in tags:
                tx[tag].incrby(f"n{{{tag}}}", 5)
        assert manager.outcome(tx.gid) is Outcome.COMMITTED
        with manager.transaction() as tx:
            assert [tx[tag].get(f"n{{{tag}}}") for tag in tags] == [b"5"] * 4


def test_a_node_that_is_taken_for_a_server_of_its_own_is_refused(url: str) -> None:
    address = url.partition("://")[2].partition(",")[0].partition("/")[0]
    participant = RedisParticipant(f"redis://{address}")
    with closing(participant), pytest.raises(InvalidValue, match=r"redis\+cluster://"):
        participant.begin(GID)


def test_a_slot_that_has_moved_is_looked_for_again(url: str) -> None:
    with closing(RedisParticipant(f"{url}?tag=moved")) as participant:
        participant.begin(GID).set("k{moved}", 1)
        participant.prepare(GID)
        participant.site.server._client.close()
        participant.site.server._client = _redis.client(wrong_node(participant), timeout=5.0)
        with pytest.raises(StoreTimeout, match="moved"):
            participant.commit(GID)
        participant.commit(GID)
        assert participant.begin("main.1.2").get("k{moved}") == b"1"


def wrong_node(participant: RedisParticipant) -> str:
    """The URL of a primary that does not serve the participant's slot."""
    server = participant.site.server
    ranges = server.ask("CLUSTER", "SLOTS")
    [*_, wrong] = [
        primary for first, last, primary, *_ in ranges if not first <= server._slot._number <= last
    ]
    return _redis.member(server._slot._url, f"{wrong[0].decode()}:{wrong[1]}")
