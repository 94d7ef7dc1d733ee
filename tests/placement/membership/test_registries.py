"""What every source with which nodes register does alike, over real servers."""

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from ringfence.errors import StoreDamaged
from ringfence.placement import Node
from ringfence.placement.membership import Entry, Member, Registry, Standing
from ringfence.placement.membership.opening import open_source
from tests.placement.membership.conftest import without

NAMES = ["a", "with space", "a/b/../c", ".", "ünïcødé 🜁", "a-0000000007", "%41", "{x}", "-", "a\nb", "a\0b"]
LONG = 60.0


@pytest.fixture
def opened(url: str) -> Iterator[Callable[[], Registry]]:
    """Open one more source on the group."""
    sources: list[Registry] = []

    def open_one() -> Registry:
        source = open_source(url)
        assert isinstance(source, Registry)
        sources.append(source)
        return source

    yield open_one
    for source in sources:
        source.close()


@pytest.fixture
def registry(opened: Callable[[], Registry]) -> Iterator["Registrants"]:
    with closing(Registrants(opened())) as registrants:
        yield registrants


class Registrants:
    """Registers, and takes everything out in the end."""

    def __init__(self, source: Registry) -> None:
        self.source = source
        self._entries: list[Entry] = []

    def enter(self, name: str, ttl: float = LONG, node: Node | None = None) -> Entry:
        entry = Entry(node or Node(name), uuid.uuid4().hex, ttl)
        fence = self.source.enter(entry)
        assert fence is not None
        self._entries.append(entry)
        return entry._replace(fence=fence)

    def members(self) -> dict[str, Member]:
        members = self.source.read()
        found = {member.node.name: member for member in members}
        assert len(found) == len(members)
        return found

    def close(self) -> None:
        for entry in self._entries:
            self.source.leave(entry)


def eventually(question: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Ask until the answer is yes."""
    until = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
    return answer


def test_a_new_group_is_empty(registry: Registrants) -> None:
    assert registry.source.read() == []


@pytest.mark.parametrize("name", NAMES)
def test_names_weights_and_zones_are_carried(registry: Registrants, name: str) -> None:
    node = Node(name, 2.5, "zone of " + name)
    entry = registry.enter(name, node=node)
    [member] = registry.source.read()
    assert (member.node, member.fence) == (node, entry.fence)
    assert registry.source.renew([entry]) == [Standing.HELD]
    registry.source.leave(entry)
    assert registry.source.read() == []


def test_many_nodes(registry: Registrants) -> None:
    names = {f"node-{number}" for number in range(12)}
    entries = [registry.enter(name) for name in sorted(names)]
    assert registry.members().keys() == names
    assert registry.source.renew(entries) == [Standing.HELD] * 12


def test_every_renewal_changes_the_beat_and_not_the_fence(registry: Registrants) -> None:
    entry = registry.enter("a")
    seen = [registry.members()["a"]]
    for _ in range(3):
        assert registry.source.renew([entry]) == [Standing.HELD]
        seen.append(registry.members()["a"])
    assert len({member.beat for member in seen}) == 4
    assert {member.fence for member in seen} == {entry.fence}


@pytest.mark.parametrize("url", without("zookeeper"), indirect=True)  # its sessions live with the process
def test_one_that_is_not_renewed_is_dropped(registry: Registrants, opened: Callable[[], Registry]) -> None:
    entry = registry.enter("short", ttl=2.0)
    other = opened()
    assert [member.node.name for member in other.read()] == ["short"]
    eventually(lambda: not other.read())
    assert registry.source.renew([entry]) == [Standing.LOST]


def test_a_renewed_one_outlives_its_ttl(registry: Registrants) -> None:
    entry = registry.enter("a", ttl=3.0)
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        assert registry.source.renew([entry]) == [Standing.HELD]
        time.sleep(0.5)
    assert list(registry.members()) == ["a"]


def test_the_newer_wins_and_the_older_learns(registry: Registrants, opened: Callable[[], Registry]) -> None:
    older = registry.enter("a", node=Node("a", 1.0))
    with closing(Registrants(opened())) as others:
        newer = others.enter("a", node=Node("a", 2.0))
        assert newer.fence > older.fence
        assert registry.members()["a"][:2] == (Node("a", 2.0), newer.fence)
        assert registry.source.renew([older]) == [Standing.REPLACED]
        assert others.source.renew([newer]) == [Standing.HELD]
        registry.source.leave(older)
        assert registry.members()["a"].node.weight == 2.0
        others.source.leave(newer)
        assert registry.source.read() == []


def test_one_that_was_lost_does_not_take_its_name_back(
    registry: Registrants, opened: Callable[[], Registry]
) -> None:
    lost = registry.enter("a")
    registry.source.leave(lost)
    with closing(Registrants(opened())) as others:
        newer = others.enter("a")
        assert registry.source.enter(lost) is None
        assert registry.members()["a"].fence == newer.fence
        assert others.source.renew([newer]) == [Standing.HELD]


def test_one_that_was_lost_enters_again_where_nobody_is(registry: Registrants) -> None:
    lost = registry.enter("a")
    registry.source.leave(lost)
    fence = registry.source.enter(lost)
    assert fence is not None
    assert fence > lost.fence
    assert registry.members()["a"].fence == fence


def test_entering_twice_is_harmless(registry: Registrants) -> None:
    entry = registry.enter("a")
    fence = registry.source.enter(entry)
    assert fence is not None
    assert fence >= entry.fence
    assert registry.members()["a"].fence == fence
    assert registry.source.renew([entry._replace(fence=fence)]) == [Standing.HELD]


def test_entering_twice_lasts_for_the_whole_ttl(registry: Registrants, url: str) -> None:
    if url.startswith("zookeeper"):
        return  # a session of its own for each time
    entry = registry.enter("a", ttl=6.0)
    time.sleep(3.5)
    assert registry.source.enter(entry) is not None
    time.sleep(3.5)
    assert "a" in registry.members()


def test_leaving_twice_is_harmless(registry: Registrants) -> None:
    entry = registry.enter("a")
    registry.source.leave(entry)
    registry.source.leave(entry)
    assert registry.source.read() == []


def test_fences_grow(registry: Registrants) -> None:
    fences = []
    for _ in range(4):
        entry = registry.enter("a")
        registry.source.leave(entry)
        fences.append(entry.fence)
    assert all(before < after for before, after in itertools.pairwise(fences))


def test_groups_do_not_meet(registry: Registrants, url: str) -> None:
    registry.enter("a")
    with closing(open_source(f"{url}-other")) as other:
        assert other.read() == []


def woken_after(source: Registry, action: Callable[[], object]) -> float:
    """Wait for a minute, begin the action meanwhile, and return how many seconds the wait took."""
    source.read()
    timer = threading.Timer(0.2, action)
    started = time.monotonic()
    timer.start()
    try:
        source.wait(60)
        return time.monotonic() - started
    finally:
        timer.join()


def test_whoever_waits_is_woken_by_a_join_and_a_leave(
    registry: Registrants, opened: Callable[[], Registry]
) -> None:
    watcher = opened()
    entries: list[Entry] = []
    assert woken_after(watcher, lambda: entries.append(registry.enter("a"))) < 30
    eventually(lambda: [member.node.name for member in watcher.read()] == ["a"])
    while watcher.read() and woken_after(watcher, lambda: registry.source.leave(entries[0])) > 30:
        pytest.fail("the leave was not heard of")
    assert watcher.read() == []


def test_a_change_between_reading_and_waiting_is_not_missed(
    registry: Registrants, opened: Callable[[], Registry]
) -> None:
    watcher = opened()
    watcher.read()
    registry.enter("a")
    started = time.monotonic()
    watcher.wait(60)
    assert time.monotonic() - started < 30


def test_a_wait_can_be_ended_by_another_thread(opened: Callable[[], Registry]) -> None:
    watcher = opened()
    assert woken_after(watcher, watcher.wake) < 30
    watcher.read()
    watcher.wake()  # ends the next one
    started = time.monotonic()
    watcher.wait(60)
    assert time.monotonic() - started < 30


def test_a_wait_is_over_in_time(opened: Callable[[], Registry]) -> None:
    source = opened()
    for _ in range(3):
        source.read()
        source.wait(0.3)


def test_registrants_of_many_threads(registry: Registrants) -> None:
    def register(number: int) -> None:
        entry = registry.enter(f"node-{number}")
        assert registry.source.renew([entry]) == [Standing.HELD]

    threads = [threading.Thread(target=register, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(registry.members()) == 6


@pytest.mark.servers
def test_what_nobody_registered_is_an_error_that_names_it(redis_server: Any, etcd_server: Any) -> None:
    import redis

    group = uuid.uuid4().hex
    with closing(open_source(f"{redis_server.url}?group={group}")) as source:
        with closing(redis.Redis.from_url(redis_server.url)) as client:
            client.zadd(f"ringfence:members:{{{group}}}:leases", {"x": 9e15})
            client.hset(f"ringfence:members:{{{group}}}:records", "x", "1 2 owner {}")
        with pytest.raises(StoreDamaged, match=group):
            source.read()
    with closing(open_source(f"{etcd_server.url}/{group}")) as etcd:
        etcd._client.txn([], [{"requestPut": {"key": _base64(f"{group}/nodes/x"), "value": "e30="}}])  # type: ignore[attr-defined]
        with pytest.raises(StoreDamaged, match=group):
            etcd.read()


def test_what_nobody_registered_with_zookeeper_is_an_error_that_names_it(zookeeper_server: Any) -> None:
    path = uuid.uuid4().hex
    with closing(open_source(f"{zookeeper_server.url}/{path}")) as source:
        assert source.read() == []
        source._reader.create(f"/{path}/foreign")  # type: ignore[attr-defined]
        with pytest.raises(StoreDamaged, match="foreign"):
            source.read()


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()
