"""One thread watches, many read; callbacks, closing and forking beside it."""

import itertools
import os
import signal
import threading

import pytest

from ringfence.errors import StoreError
from ringfence.placement import Diff, HashRing, Placement
from ringfence.placement.membership import Entry, Member, Membership, Registration, StaticSource
from ringfence.placement.membership.sources.memory import MemoryGroup, MemorySource


def test_a_callback_of_the_watching_thread_may_close() -> None:
    source, closed = StaticSource(["a"]), threading.Event()
    membership = Membership(source, debounce=0, poll=0.05)

    def close(old: Placement, new: Placement, diff: Diff) -> None:
        membership.close()
        closed.set()

    membership.on_change(close)
    source.replace(["b"])
    assert closed.wait(60)


def test_readers_never_see_a_half_made_ring() -> None:
    whole = {frozenset("abc"), frozenset("abd"), frozenset("xyz")}
    source = StaticSource([*"abc"])
    stop, wrong, epochs = threading.Event(), [], []
    with Membership(source, HashRing(vnodes=20), debounce=0, poll=0.01) as membership:

        def read() -> None:
            last = 0
            while not stop.is_set():
                ring = membership.ring
                if frozenset(ring.nodes) not in whole or ring["k"] not in ring.nodes or ring.epoch < last:
                    wrong.append(ring)
                last = ring.epoch
            epochs.append(last)

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        try:
            for nodes in itertools.islice(itertools.cycle(["abd", "xyz", "abc"]), 45):
                changes = membership.changes()
                source.replace([*nodes])
                assert changes.next(timeout=60) is not None
        finally:
            stop.set()
            for reader in readers:
                reader.join(60)
    assert not wrong
    assert min(epochs) > 45


def test_one_thread_watches_for_any_number_of_readers_and_ends() -> None:
    others = set(threading.enumerate())

    def running() -> list[str]:
        new = set(threading.enumerate()) - others
        return [thread.name for thread in new if "membership" in thread.name]

    membership = Membership(StaticSource(["a"]))
    iterators = [membership.changes() for _ in range(50)]
    assert running() == ["ringfence-membership"]
    membership.close()
    assert running() == []
    assert [iterator.next() for iterator in iterators] == [None] * 50
    membership.close()


def test_nothing_happens_after_closing() -> None:
    source, group = StaticSource(["a"]), MemoryGroup()
    listing, registering = Membership(source, debounce=0), Membership(MemorySource(group))
    listing.close()
    registering.close()
    source.replace(["a", "b"])
    listing.refresh()
    assert listing.ring.nodes == ("a",)
    with pytest.raises(StoreError, match="closed"):
        registering.register("a")
    assert group.members() == []


def test_the_source_is_not_closed_under_a_reading() -> None:
    class Slow(StaticSource):
        def read(self) -> list[Member]:
            reading.set()
            assert go_on.wait(60)
            order.append("read")
            return super().read()

        def close(self) -> None:
            order.append("closed")

    reading, go_on, order = threading.Event(), threading.Event(), list[str]()
    go_on.set()
    membership = Membership(Slow(["a"]), debounce=0, watch=False)
    reading.clear()
    go_on.clear()
    reader = threading.Thread(target=membership.refresh)
    closer = threading.Thread(target=membership.close)
    reader.start()
    assert reading.wait(60)
    closer.start()
    closer.join(0.2)
    go_on.set()
    reader.join(60)
    closer.join(60)
    assert order == ["read", "read", "closed"]


def test_whoever_registers_while_it_closes_is_taken_out_or_refused() -> None:
    class Slow(MemorySource):
        def enter(self, entry: Entry) -> int | None:
            entering.set()
            assert go_on.wait(60)
            return super().enter(entry)

    entering, go_on, group = threading.Event(), threading.Event(), MemoryGroup()
    membership = Membership(Slow(group))
    registering = threading.Thread(target=membership.register, args=["a"])
    closing = threading.Thread(target=membership.close)
    registering.start()
    assert entering.wait(60)
    closing.start()
    closing.join(0.2)
    go_on.set()
    registering.join(60)
    closing.join(60)
    assert group.members() == []


def test_a_forked_child_keeps_the_ring() -> None:
    with Membership(MemorySource()) as membership:
        registration = membership.register("a")
        child = os.fork()
        if not child:
            signal.alarm(60)
            os._exit(_wrong_in_child(membership, registration))
        assert os.waitpid(child, 0)[1] == 0
        assert registration.active


def _wrong_in_child(membership: Membership, registration: Registration) -> int:
    try:
        membership.refresh()
        with pytest.raises(StoreError, match="forked"):
            membership.register("b")
        membership.close()
        registration.close()
        return int(registration.active)
    except BaseException:
        return 2
