"""One thread watches, many read; callbacks, closing and forking beside it."""

import itertools
import os
import threading

from ringfence.placement import Diff, HashRing, Placement
from ringfence.placement.membership import Membership, StaticSource
from ringfence.placement.membership.sources.memory import MemorySource


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
    def running() -> list[str]:
        return [thread.name for thread in threading.enumerate() if "membership" in thread.name]

    membership = Membership(StaticSource(["a"]))
    iterators = [membership.changes() for _ in range(50)]
    assert running() == ["ringfence-membership"]
    membership.close()
    assert running() == []
    assert [iterator.next() for iterator in iterators] == [None] * 50
    membership.close()


def test_a_forked_child_keeps_the_ring() -> None:
    with Membership(MemorySource()) as membership:
        registration = membership.register("a")
        child = os.fork()
        if not child:
            membership.close()
            registration.close()
            os._exit(0 if not registration.active else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert registration.active
