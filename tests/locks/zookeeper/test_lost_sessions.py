"""Nodes that are left behind by sessions that are lost, or come to be in the next one, and what becomes of them."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from ringfence.errors import OutcomeUnknown, StoreTimeout
from ringfence.locks import rules
from ringfence.locks.stores.zookeeper.store import ZooKeeperStore

PATIENCE = 60.0

_paths = itertools.count()


class Clock:
    """The time of a store; its own thread has nothing to do until it is moved by hand."""

    time = 1e9

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(zookeeper_server: Any) -> str:
    return f"{zookeeper_server.url}/left{next(_paths)}?session=200"


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[ZooKeeperStore]:
    with closing(ZooKeeperStore(url, clock)) as opened:
        yield opened


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def unanswered(store: ZooKeeperStore, patch: pytest.MonkeyPatch, make: Callable[[Any], object]) -> None:
    """Ask for a node whose creation is not answered."""

    def fail(seat: Any) -> None:
        make(seat)
        seat.path = ""
        raise OutcomeUnknown("lost")

    with patch.context() as patched:
        patched.setattr(store._requests, "make", fail)
        with pytest.raises(OutcomeUnknown):
            store.grant("x", "a", 60.0, True)


def test_a_node_that_was_never_found_is_not_taken_for_the_next_one_of_its_owner(
    store: ZooKeeperStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting it is tried again and again, and meanwhile its owner may have asked again, and hold the lock."""
    store.grant("y", "a", 60.0)
    unanswered(store, monkeypatch, bool)
    with monkeypatch.context() as disconnected:
        disconnected.setattr(store._client, "while_connected", lambda: None)
        clock.time += rules.PLACE + 1.0
        store.tick()
    fence = store.grant("x", "a", 60.0, True)
    assert fence is not None
    clock.time += 2.0
    store.tick()
    holder = store.status("x").holder  # answered after what the tick has asked for
    time.sleep(0.2)
    assert holder == store.status("x").holder
    assert holder is not None
    assert holder.fence == fence


def test_a_node_that_its_owner_found_again_is_deleted_no_more(
    store: ZooKeeperStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first place ended without a connection, and the next node was never made."""
    fence = store.grant("x", "a", 5.0, True)
    with monkeypatch.context() as disconnected:
        disconnected.setattr(store._client, "while_connected", lambda: None)
        clock.time += 5.5
        store.tick()
    unanswered(store, monkeypatch, bool)
    assert store.grant("x", "a", 60.0, True) == fence
    clock.time += 2.0
    store.tick()
    holder = store.status("x").holder
    assert holder is not None
    assert holder.fence == fence


def test_a_node_whose_owner_asks_no_more_is_deleted_by_its_name(
    store: ZooKeeperStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    unanswered(store, monkeypatch, store._requests.make)
    assert store.status("x").holder is not None
    clock.time += rules.PLACE + 1.0
    store.tick()
    wait_until(lambda: store.status("x").holder is None)


def test_a_node_that_came_to_be_in_the_next_session_is_not_in_its_owner_s_way(
    store: ZooKeeperStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session was lost between a look at it and the request."""
    make = store._requests.make

    def lose_and_make(seat: Any) -> Any:
        monkeypatch.undo()
        store._lost()
        return make(seat)

    monkeypatch.setattr(store._requests, "make", lose_and_make)
    fence = store.grant("x", "a", 60.0, True)
    assert fence is not None
    status = store.status("x")
    assert [(holder.owner, holder.fence) for holder in status.holders] == [("a", fence)]
    assert status.waiting == ()
    assert store.release("x", "a", fence) is True
    assert store.status("x").holder is None


def test_a_node_that_could_not_be_watched_is_watched_when_it_is_asked_for_again(
    store: ZooKeeperStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke just before; a waiter would hear of nothing for as long as that node is there."""
    with closing(ZooKeeperStore(url)) as other:
        fence = other.grant("x", "b", 60.0)
        assert fence is not None
        watch = store._requests.watch

        def disconnect_and_watch(path: str, gone: Callable[[], None]) -> None:
            with monkeypatch.context() as disconnected:
                disconnected.setattr(store._client, "while_connected", lambda: None)
                disconnected.setattr(store._client, "_connect", unreachable)
                watch(path, gone)

        with monkeypatch.context() as patched:
            patched.setattr(store._requests, "watch", disconnect_and_watch)
            with suppress(StoreTimeout):
                store.grant("x", "a", 60.0, True)
        assert store.grant("x", "a", 60.0, True) is None
        other.release("x", "b", fence)
        wait_until(lambda: store._seats[f"{store._base}/locks/x", "a"].called)


def unreachable() -> None:
    raise StoreTimeout("not connected")


def test_one_who_gives_up_leaves_no_node_behind_that_could_not_be_deleted(
    store: ZooKeeperStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = store._requests.make

    def lose_and_make(seat: Any) -> Any:
        patched.setattr(store._requests, "make", make)
        store._lost()
        return make(seat)

    def fail(path: str) -> None:
        raise OutcomeUnknown("lost")

    with monkeypatch.context() as patched:
        patched.setattr(store._requests, "make", lose_and_make)
        patched.setattr(store._requests, "delete", fail)
        with pytest.raises(OutcomeUnknown):
            store.grant("x", "a", 60.0, True)
    assert store.status("x").holder is not None
    store.withdraw("x", "a")
    assert store.status("x") == ((), ())


def test_a_node_of_the_next_session_goes_when_nobody_asks_for_it_again(
    store: ZooKeeperStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = store._requests.make

    def lose_and_make(seat: Any) -> None:
        store._lost()
        make(seat)

    unanswered(store, monkeypatch, lose_and_make)
    assert store.status("x").holder is not None
    clock.time += 2.0
    store.tick()
    wait_until(lambda: store.status("x").holder is None)
