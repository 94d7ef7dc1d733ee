"""Registrants that are killed or paused, servers that are killed, paused or empty, connections that are cut."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from ringfence.placement import HashRing, Node
from ringfence.placement.membership import Membership
from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import Etcd, Redis, SingleServer, ZooKeeper
from tests.placement.membership.conftest import without
from tests.placement.membership.registrant import Registrant

pytestmark = pytest.mark.servers

SERVERS: dict[str, Callable[[], SingleServer]] = {
    "redis": lambda: Redis(durable=True),
    "zookeeper": ZooKeeper,
    "etcd": Etcd,
}
SHARED = pytest.mark.parametrize("url", without("memory"), indirect=True)
TTL = 2.0


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, private_server: Any) -> SingleServer:
    started: SingleServer = private_server(SERVERS[request.param]())
    return started


def group(server: SingleServer, port: int | None = None) -> str:
    kind = type(server).__name__.lower()
    base = f"{kind}://127.0.0.1:{port or server.port}"
    return f"{base}/0?group=shards" if kind == "redis" else f"{base}/shards"


class Watched:
    """A membership whose every ring is noted."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.rings = [membership.ring]
        membership.on_change(lambda old, new, diff: self.rings.append(new))

    def until(self, *names: str, seconds: float = 90.0) -> None:
        """Wait until the ring has these nodes and no others."""
        self.until_true(lambda: self.membership.ring.nodes == names, seconds)

    def until_true(self, question: Callable[[], bool], seconds: float = 90.0) -> None:
        until = time.monotonic() + seconds
        while not question():
            assert time.monotonic() < until, (self.membership, self.membership.error, self.rings)
            time.sleep(0.02)

    def check(self) -> None:
        """See that epochs only grew, and that each ring is whole."""
        for before, after in itertools.pairwise(self.rings):
            assert before.epoch < after.epoch
            assert after == HashRing([after.node(name) for name in after.nodes])
        assert all(ring.nodes for ring in self.rings[1:])


@contextmanager
def watched(url: str, debounce: float = 0.0) -> Iterator[Watched]:
    with Membership.from_url(url, debounce=debounce, poll=0.5) as membership:
        seen = Watched(membership)
        yield seen
        seen.check()


@SHARED
def test_a_killed_registrant_is_dropped(url: str) -> None:
    with ExitStack() as stack:
        seen = stack.enter_context(watched(url))
        killed = stack.enter_context(Registrant(url, "a", TTL))
        survivor = stack.enter_context(Registrant(url, "b", TTL, weight=2.0))
        seen.until("a", "b")
        killed.kill()
        seen.until("b")
        assert survivor.said() == []
        assert seen.membership.ring.node("b") == Node("b", 2.0)
    assert seen.membership.ring.nodes == ("b",)  # it left, and an empty ring is published only when asked for


@SHARED
def test_a_registrant_that_leaves_is_dropped_at_once(url: str) -> None:
    with watched(url) as seen, Registrant(url, "a", ttl=60), ExitStack() as stack:
        stack.enter_context(Registrant(url, "b", ttl=60))
        seen.until("a", "b")
        stack.close()
        seen.until("a", seconds=30)


@SHARED
def test_one_paused_past_its_lease_learns_and_registers_again(url: str) -> None:
    with watched(url) as seen, Registrant(url, "a", ttl=30), Registrant(url, "b", TTL) as paused:
        seen.until("a", "b")
        paused.pause()
        seen.until("a")
        paused.resume()
        assert paused.hears("lapsed") > paused.fence
        seen.until("a", "b")


@SHARED
def test_one_paused_past_its_lease_learns_that_it_was_replaced(url: str) -> None:
    with watched(url) as seen, Registrant(url, "a", TTL) as paused:
        seen.until("a")
        paused.pause()
        with Registrant(url, "a", TTL, weight=2.0) as newer:
            seen.until_true(lambda: seen.membership.ring.node("a").weight == 2.0)
            paused.resume()
            paused.hears("replaced")
            time.sleep(TTL)
            assert newer.said() == []
            assert seen.membership.ring.node("a").weight == 2.0


@SHARED
def test_a_living_one_is_replaced_too(url: str) -> None:
    with Registrant(url, "a", TTL) as older, Registrant(url, "a", TTL) as newer:
        older.hears("replaced")
        assert newer.fence > older.fence
        assert newer.said() == []


@pytest.mark.slow
@pytest.mark.parametrize("keep_disk", [True, False], ids=["with its disk", "without its disk"])
def test_a_server_that_is_killed_and_comes_back_changes_no_ring(
    server: SingleServer, keep_disk: bool
) -> None:
    with ExitStack() as stack:
        registrants = [stack.enter_context(Registrant(group(server), name, 3.0)) for name in "abc"]
        seen = stack.enter_context(watched(group(server), debounce=8.0))
        seen.until("a", "b", "c")
        before = seen.membership.ring
        server.kill()
        seen.until_true(lambda: seen.membership.error is not None)
        assert seen.membership.ring is before
        server.restart(keep_disk=keep_disk)
        seen.until_true(lambda: seen.membership.error is None)
        if not keep_disk:
            for registrant in registrants:
                registrant.hears("lapsed")
        with watched(group(server)) as fresh:
            fresh.until("a", "b", "c")  # all are there again
        assert seen.membership.ring is before
        stack.enter_context(Registrant(group(server), "d", 3.0))
        seen.until("a", "b", "c", "d")


def test_a_paused_server_makes_the_ring_old_and_not_wrong(server: SingleServer) -> None:
    with watched(group(server)) as seen, Registrant(group(server), "a", ttl=60):
        seen.until("a")
        server.pause()
        try:
            seen.until_true(lambda: seen.membership.error is not None)
            assert seen.membership.age > 0
            assert seen.membership.ring.nodes == ("a",)
        finally:
            server.resume()
        seen.until_true(lambda: seen.membership.error is None)
        with Registrant(group(server), "b", ttl=60):
            seen.until("a", "b")


def cut(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut()


def heal(proxy: Proxy) -> None:
    proxy.flow()
    proxy.accept()


def fall_silent(proxy: Proxy) -> None:
    proxy.hold()
    proxy.refuse()


@pytest.mark.parametrize("fault", [cut, pytest.param(fall_silent, marks=pytest.mark.slow)])
def test_a_watch_that_comes_back_goes_on(server: SingleServer, fault: Callable[[Proxy], None]) -> None:
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(server.port))
        seen = stack.enter_context(watched(group(server, proxy.port)))
        stack.enter_context(Registrant(group(server), "a", ttl=60))
        seen.until("a")
        fault(proxy)
        seen.until_true(lambda: seen.membership.error is not None)
        stack.enter_context(Registrant(group(server), "b", ttl=60))
        assert seen.membership.ring.nodes == ("a",)
        age = seen.membership.age
        seen.until_true(lambda: seen.membership.age > age)
        heal(proxy)
        seen.until("a", "b")
        assert seen.membership.error is None
        stack.enter_context(Registrant(group(server), "c", ttl=60))
        seen.until("a", "b", "c")


@SHARED
def test_readers_see_whole_rings_while_nodes_come_and_go(url: str) -> None:
    stop, wrong = threading.Event(), []
    with watched(url) as seen, Membership.from_url(url) as registrar:
        stays = registrar.register("stays", ttl=60)
        seen.until("stays")

        def read() -> None:
            last = 0
            while not stop.is_set():
                ring = seen.membership.ring
                if "stays" not in ring.nodes or ring["key"] not in ring.nodes or ring.epoch < last:
                    wrong.append(ring)
                last = ring.epoch

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(5):
                comes_and_goes = registrar.register("comes-and-goes", ttl=60)
                seen.until("comes-and-goes", "stays")
                comes_and_goes.close()
                seen.until("stays")
        finally:
            stop.set()
            for reader in readers:
                reader.join(60)
        assert stays.active
    assert not wrong


@pytest.mark.slow
@SHARED
def test_a_silent_registrant_is_suspected_before_its_lease_ends(url: str) -> None:
    with ExitStack() as stack:
        seen = stack.enter_context(Membership.from_url(url, debounce=0, poll=0.1))
        stack.enter_context(Registrant(url, "steady", ttl=1.5))
        silent = stack.enter_context(Registrant(url, "silent", ttl=1.5))
        time.sleep(6)
        until = time.monotonic() + 60
        silent.pause()
        suspected = 0.0
        while "silent" in seen.ring.nodes and time.monotonic() < until:
            suspected = max(suspected, seen.suspicion("silent"))
            time.sleep(0.02)
        assert suspected > seen.suspicion("steady")
        assert suspected > 2
