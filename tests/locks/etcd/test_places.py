"""What stands in etcd: keys, their leases and fences, and who hears of a departure."""

import threading
import time
from collections.abc import Iterator

import pytest

from ringfence._core.leases import new_owner
from ringfence._etcd import Etcd as Client
from ringfence._etcd import KeyValue, Request, get_op, list_op
from ringfence.errors import InvalidValue, StoreError
from ringfence.locks import rules
from ringfence.locks.manager import LockManager
from ringfence.locks.stores import Claim, Shared, heads
from ringfence.locks.stores.etcd import places
from ringfence.locks.stores.etcd.places import Place
from ringfence.locks.stores.etcd.store import EtcdStore
from ringfence.testing.proxy import Proxy
from ringfence.testing.servers import Server
from ringfence.testing.servers.etcd import Etcd
from tests.locks.etcd.waiting import PATIENCE, taken, until

FENCES = rules.FENCES
LONG_PLACE = 90.0


@pytest.fixture
def store(url: str) -> Iterator[EtcdStore]:
    opened = EtcdStore(url, timeout=PATIENCE)
    yield opened
    opened.close()


@pytest.fixture
def client(etcd_server: Server) -> Iterator[Client]:
    opened = Client([etcd_server.url.replace("etcd", "http")])
    yield opened
    opened.close()


def keys(client: Client, path: str) -> list[KeyValue]:
    """Return the places under a path, the first to come first."""
    [found] = client.txn([], [list_op(f"{path}/")]).found
    return sorted((kv for kv in found if b"/origin" not in kv.key), key=lambda kv: kv.create_revision)


def place(asked: int, of: int) -> Place:
    return Place("", 0, 0, asked, of)


@pytest.mark.parametrize(
    ("queue", "count"),
    [
        ([], 0),
        ([(1, 1)], 1),
        ([(1, 1), (1, 1)], 1),
        ([(1, 3)] * 5, 3),
        ([(1, 9), (9, 9), (1, 9)], 1),  # a reader, then a writer who waits, and holds up the next reader
        ([(9, 9), (1, 9)], 1),
        ([(1, 9), (1, 9)], 2),
        (
            [(1, 5), (1, 1), (1, 5)],
            1,
        ),  # the second reckons with fewer shares than there are, and holds up the third
    ],
)
def test_the_head_of_the_queue_holds(queue: list[tuple[int, int]], count: int) -> None:
    assert heads.holding([place(*shares) for shares in queue]) == count


@pytest.mark.parametrize("name", ["x", "a/b", "ü/∞ c", "%2F", "..", "a\nb", Shared("a/b", 1, 5)])
def test_a_key_tells_the_name_and_the_owner(name: str) -> None:
    key = f"{places.folder('pre/fix', name)}an/owner=1"
    found = places.names(Place(key, 7, 10, *places.shares(name)), "pre/fix")
    assert found == (name, "an/owner=1")
    assert type(found[0]) is type(name)


def test_no_lock_s_keys_begin_as_another_s() -> None:
    names = ["a", "a/b", "ab", "a%2Fb", Shared("a", 1, 1), Shared("a/b", 1, 1)]
    folders = [places.folder("p", name) for name in names]
    assert not [
        (one, other) for one in folders for other in folders if one != other and other.startswith(one)
    ]


def test_a_key_that_is_no_place_is_named(store: EtcdStore, client: Client, path: str) -> None:
    put = {"requestPut": {**get_op(f"{path}/locks/x/me")["requestRange"], "value": "AAAA"}}
    client.txn([], [put])
    with pytest.raises(StoreError, match="locks/x/me"):
        store.grant("x", "other", 10.0)


def test_the_fence_is_the_revision_times_the_block_from_the_origin_on(
    store: EtcdStore, client: Client, path: str
) -> None:
    before = rules.next_fence(0, time.time())
    fence = store.grant("x", "me", 10.0, False, FENCES)
    assert fence is not None
    [[origin]] = client.txn([], [get_op(f"{path}/origin")]).found
    [key] = keys(client, path)
    assert fence == int(origin.value) + FENCES * key.create_revision
    assert before <= int(origin.value) <= rules.next_fence(0, time.time())
    with pytest.raises(InvalidValue, match="32 fences"):
        store.grant("y", "me", 10.0, False, FENCES + 1)


def test_a_number_to_count_from_that_is_taken_away_is_replaced_by_a_greater_one(
    store: EtcdStore, client: Client, path: str
) -> None:
    fence = store.grant("x", "me", 10.0)
    assert fence is not None
    client.txn([], [{"requestDeleteRange": get_op(f"{path}/origin")["requestRange"]}])
    assert store.renew([Claim("x", "me", fence, 10.0)]) == [False]
    again = store.grant("x", "me", 10.0)
    assert again is not None
    assert again > fence


def test_a_lock_that_is_free_takes_three_requests_to_take_and_free(through: str, proxy: Proxy) -> None:
    with LockManager.from_url(through) as manager:
        with manager.lock("x"):
            pass
        before = proxy.replies
        with manager.lock("x"):
            pass
        assert proxy.replies - before == 3


def test_no_lease_is_left_behind(own: Etcd) -> None:
    client = Client([own.url.replace("etcd", "http")])
    with LockManager.from_url(own.url) as manager, LockManager.from_url(own.url) as other:
        for _ in range(10):
            with manager.lock("x", ttl=60):
                assert other.lock("x", ttl=60).acquire(blocking=False) is None
                assert other.lock("x", ttl=60).acquire(timeout=0.01) is None
    assert "leases" not in client.call(Request("lease/leases", {}))
    client.close()


def test_a_place_ends_sooner_than_a_long_lease_until_it_holds(
    store: EtcdStore, client: Client, path: str
) -> None:
    fence = store.grant("x", "first", 600.0, True)
    assert fence is not None
    assert store.grant("x", "second", 600.0, True) is None
    assert [client.remaining(kv.lease) > 500 for kv in keys(client, path)] == [True, False]
    assert client.remaining(keys(client, path)[1].lease) <= rules.PLACE
    store.release("x", "first", fence)
    later = store.grant("x", "second", 600.0, True)
    assert later is not None
    [held] = keys(client, path)
    assert client.remaining(held.lease) > 500
    assert store.renew([Claim("x", "second", later, 600.0)]) == [True]
    assert store.release("x", "second", later) is True


def test_a_lease_is_extended_beyond_its_length_and_then_used_up(
    store: EtcdStore, client: Client, path: str
) -> None:
    fence = store.grant("x", "me", 10.0)
    assert fence is not None
    claim = Claim("x", "me", fence, 600.0)
    assert store.renew([claim]) == [True]
    [extended] = keys(client, path)
    assert client.remaining(extended.lease) > 500
    assert store.renew([claim._replace(ttl=10.0)]) == [True]
    assert keys(client, path) == [extended]
    assert store.renew([claim._replace(ttl=599.5)]) == [True]
    other = EtcdStore(f"{client.place.replace('http', 'etcd')}/{path}")
    assert other.renew([claim]) == [True]
    assert other.release("x", "me", fence) is True
    assert store.release("x", "me", fence) is False
    other.close()


def test_many_leases_are_renewed_at_once(store: EtcdStore) -> None:
    claims = []
    for number in range(120):
        fence = store.grant(f"x{number}", "me", 30.0)
        assert fence is not None
        claims.append(Claim(f"x{number}", "me", fence, 30.0))
    store.release("x111", "me", claims[111].fence)
    assert store.renew(claims) == [number != 111 for number in range(120)]
    assert len(store.leases()) == 119


def test_a_departure_wakes_only_the_next(store: EtcdStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "PLACE", LONG_PLACE)
    fence = store.grant("x", "me", 60.0)
    assert fence is not None
    woken = {}
    for owner in ("first", "second"):
        assert store.grant("x", owner, 90.0, True) is None
        woken[owner] = waiting(store, "x", owner)
    assert store.release("x", "me", fence) is True
    assert woken["first"].wait(PATIENCE)
    assert not woken["second"].is_set()
    store.withdraw("x", "first")
    assert woken["second"].wait(PATIENCE)


def test_room_at_a_shared_lock_wakes_those_for_whom_there_is_some(
    store: EtcdStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "PLACE", LONG_PLACE)
    reader, writer = Shared("x", 1, 9), Shared("x", 9, 9)
    fences = [store.grant(reader, owner, 60.0) for owner in ("r1", "r2")]
    woken = {}
    for name, owner in ((writer, "w"), (reader, "r3"), (reader, "r4")):
        assert store.grant(name, owner, 90.0, True) is None
        woken[owner] = waiting(store, name, owner)
    assert store.grant(reader, "r5", 60.0) is None
    for owner, fence in zip(("r1", "r2"), fences, strict=True):
        assert fence is not None
        assert not woken["w"].is_set()
        store.release(reader, owner, fence)
    assert woken["w"].wait(PATIENCE)
    writing = store.grant(writer, "w", 60.0, True)
    assert writing is not None
    assert store.status(writer).waiting == ("r3", "r4")
    store.release(writer, "w", writing)
    assert all(woken[owner].wait(PATIENCE) for owner in ("r3", "r4"))
    held = [store.grant(reader, owner, 60.0, True) for owner in ("r3", "r4")]
    assert None not in held
    assert [holder.fence for holder in store.status(reader).holders] == held
    assert store.status("x").holders == ()


def test_a_permit_that_is_only_asked_for_is_given_among_others(store: EtcdStore) -> None:
    permit = Shared("x", 1, 3)
    fences = [store.grant(permit, new_owner(), 60.0) for _ in range(4)]
    assert [fence is not None for fence in fences] == [True, True, True, False]


def waiting(store: EtcdStore, name: str, owner: str) -> threading.Event:
    """Have a thread wait; return what is set when the store ends the wait before its time."""
    woken = threading.Event()

    def wait() -> None:
        started = time.monotonic()
        store.wait(name, owner, PATIENCE)
        if time.monotonic() - started < LONG_PLACE / 3 - 1:
            woken.set()

    threading.Thread(target=wait, daemon=True).start()
    return woken


def test_a_waiter_whose_revisions_were_compacted_asks_again(own: Etcd) -> None:
    store = EtcdStore(own.url)
    fence = store.grant("x", "me", 60.0)
    assert store.grant("x", "you", 60.0, True) is None
    client = Client([own.url.replace("etcd", "http")])
    revision = 0
    for _ in range(3):
        with_key = {"requestPut": {**get_op("other")["requestRange"], "value": "AA=="}}
        revision = client.txn([], [with_key]).revision
    client.call(Request("kv/compaction", {"revision": str(revision)}))
    client.close()
    assert store.wait("x", "you", 1.0) is None
    assert store.grant("x", "you", 60.0, True) is None
    assert fence is not None
    store.release("x", "me", fence)
    assert store.grant("x", "you", 60.0, True) is not None
    store.close()


def test_closing_ends_the_waiting(url: str) -> None:
    with LockManager.from_url(url) as holder, holder.lock("x", ttl=60):
        store = EtcdStore(url)
        assert store.grant("x", "you", 60.0, True) is None
        thread = threading.Thread(target=store.wait, args=("x", "you", PATIENCE))
        thread.start()
        until(lambda: store._watches)
        store.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_what_is_forgotten_is_looked_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.locks.stores.etcd.store.REMEMBERED", 1)
    with LockManager.from_url(url) as manager:
        leases = [taken(manager.lock(name).acquire()) for name in "abc"]
        assert [lease.release() for lease in leases] == [True] * 3
        assert manager.leases() == []


def test_a_waiter_is_told_to_ask_again_before_its_place_ends(store: EtcdStore) -> None:
    store.grant("x", "first", 60.0)
    assert store.grant("x", "second", 3.0, True) is None
    started = time.monotonic()
    assert store.wait("x", "second", PATIENCE) is None
    assert time.monotonic() - started < PATIENCE / 2
