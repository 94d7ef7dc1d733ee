"""What readers, listeners and those who register may rely on, whatever the source."""

import itertools
import pickle
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ringfence
from ringfence.errors import (
    BackendUnavailable,
    InvalidType,
    InvalidValue,
    StoreError,
    StoreTimeout,
    UnknownNode,
)
from ringfence.placement import AnchorHash, Diff, HashRing, JumpHash, Maglev, Migration, Node, Placement
from ringfence.placement.membership import Entry, Member, Membership, StaticSource
from ringfence.placement.membership.sources.memory import MemoryGroup, MemorySource
from ringfence.testing import FakeClock


def failure(of: Any) -> Exception | None:
    """Return `of.error` as it is now; a property is not what it was a moment ago."""
    error: Exception | None = of.error
    return error


class Script(StaticSource):
    """A static list that fails when it is told to."""

    failure: Exception | None = None

    def read(self) -> list[Member]:
        if self.failure is not None:
            raise self.failure
        return super().read()


class Setting:
    """A membership without a thread, a list and a clock that a test moves."""

    def __init__(self, nodes: Any = ("a", "b"), ring: Placement | None = None, **options: Any) -> None:
        self.source = Script(nodes)
        self.clock = FakeClock()
        options = {"debounce": 4.0, "hold": 20.0} | options
        self.membership = Membership(self.source, ring, watch=False, clock=self.clock, **options)

    def after(self, seconds: float, nodes: Any = None) -> Placement:
        """Let seconds pass, list other nodes if any are given, and look."""
        self.clock.advance(seconds)
        if nodes is not None:
            self.source.replace(nodes)
        self.membership.refresh()
        return self.membership.ring


def test_the_first_ring_is_there_at_once() -> None:
    with Membership(StaticSource(["a", "b"])) as membership:
        assert membership.ring == HashRing(["a", "b"])
        assert membership.error is None
        assert membership.epoch == membership.ring.epoch == 2


def test_it_is_one_of_the_public_names() -> None:
    assert ringfence.Membership is Membership


def test_a_change_grows_the_epoch_by_one_for_each_node() -> None:
    setting = Setting()
    setting.after(1, ["a", "b", "c", "d"])
    assert setting.membership.epoch == 2
    assert setting.after(4).epoch == setting.membership.epoch == 4


def test_equal_nodes_are_not_published_again() -> None:
    setting = Setting()
    ring = setting.membership.ring
    for _ in range(10):
        assert setting.after(10, ["b", "a"]) is ring


def test_the_past_is_a_change_like_any_other_and_the_epoch_never_goes_back() -> None:
    setting = Setting(debounce=0)
    epochs = [setting.after(1, nodes).epoch for nodes in (["a"], ["a", "b", "c"], ["a", "b"], ["a"], ["b"])]
    assert epochs == sorted(set(epochs))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.5, 3.0, 5.0, 25.0]), st.sets(st.sampled_from("abcd"))), max_size=30)
)
def test_rings_follow_one_another(steps: list[tuple[float, set[str]]]) -> None:
    setting = Setting()
    told: list[tuple[Placement, Placement, Diff]] = []
    setting.membership.on_change(lambda *change: told.append(change))
    first = setting.membership.ring
    for seconds, nodes in steps:
        setting.after(seconds, nodes)
        assert setting.membership.ring.nodes
        assert setting.membership.ring == HashRing(setting.membership.ring.nodes)
    rings = [first, *(new for _, new, _ in told)]
    assert [old for old, _, _ in told] == rings[:-1]
    assert rings[-1] is setting.membership.ring
    for old, new in itertools.pairwise(rings):
        assert new.epoch - old.epoch == len({*old.nodes} ^ {*new.nodes}) > 0


@pytest.mark.parametrize(
    "ring",
    [HashRing(vnodes=7, seed=3), AnchorHash(capacity=8), Maglev(table_size=101), HashRing(["x"], epoch=9)],
)
def test_a_placement_of_any_kind_keeps_its_options(ring: Any) -> None:
    setting = Setting(ring=ring, debounce=0)
    found = setting.after(1, ["b", "c"])
    assert type(found) is type(ring)
    assert sorted(found.nodes) == ["b", "c"]
    wanted = ring
    for change in (*ring.nodes, "a", "b", "a", "c"):
        wanted = wanted.without_node(change) if change in wanted.nodes else wanted.with_node(change)
    assert found == wanted
    assert found.epoch == wanted.epoch


def test_a_node_that_the_placement_refuses_leaves_the_ring_as_it_was() -> None:
    setting = Setting(["a", "b", "c"], ring=JumpHash(), debounce=0)
    ring = setting.membership.ring
    assert setting.after(1, ["b", "c"]) is ring  # only the last can leave a JumpHash
    assert isinstance(setting.membership.error, InvalidValue)
    assert setting.after(1, ["a", "b"]).nodes == ("a", "b")
    assert setting.membership.error is None


def test_weights_and_zones_are_carried() -> None:
    setting = Setting([Node("a", 2.0, "east"), Node("b", 1.0, "west")], debounce=0)
    assert setting.membership.ring.node("a") == Node("a", 2.0, "east")
    ring = setting.after(1, [Node("a", 3.0, "east"), Node("b", 1.0, "south")])
    assert [ring.node(name) for name in ring.nodes] == [Node("a", 3.0, "east"), Node("b", 1.0, "south")]
    assert ring == HashRing([Node("a", 3.0, "east"), Node("b", 1.0, "south")])


def test_a_source_that_fails_leaves_the_ring_and_says_so() -> None:
    setting = Setting()
    ring = setting.membership.ring
    setting.after(1)
    assert setting.membership.age == 0
    setting.source.failure = StoreTimeout("no answer")
    assert setting.after(7) is ring
    assert setting.membership.error is setting.source.failure
    assert setting.membership.age == 7
    setting.source.failure = None
    assert setting.after(1) is ring
    assert failure(setting.membership) is None
    assert setting.membership.age == 0


def test_a_source_that_breaks_altogether_is_tried_again() -> None:
    setting = Setting()
    setting.source.failure = ZeroDivisionError()
    setting.after(1)
    assert isinstance(setting.membership.error, ZeroDivisionError)
    setting.source.failure = None
    setting.after(1)
    assert setting.membership.error is None


def test_a_source_that_empties_is_not_believed() -> None:
    setting = Setting()
    ring = setting.membership.ring
    for _ in range(20):
        assert setting.after(10, []) is ring
    assert isinstance(setting.membership.error, StoreError)
    assert "lists no nodes any more" in str(setting.membership.error)
    assert setting.membership.age == 200
    assert setting.after(1, ["a"]) is ring  # those that are not back yet have a whole window to come
    assert setting.after(3, ["a", "b"]) is ring
    assert setting.after(60) is ring
    assert setting.membership.error is None


def test_an_empty_ring_can_be_asked_for() -> None:
    setting = Setting(allow_empty=True)
    setting.after(1, [])
    assert setting.membership.ring.nodes == ("a", "b")
    assert setting.after(4).nodes == ()
    assert setting.membership.error is None


def test_a_source_that_is_empty_from_the_start_fills_up() -> None:
    setting = Setting([])
    assert setting.membership.ring.nodes == ()
    setting.after(1, ["a"])
    assert setting.after(4).nodes == ("a",)


def test_a_start_without_an_answer_needs_a_ring() -> None:
    source = Script(["a"])
    source.failure = StoreTimeout("no answer")
    with pytest.raises(StoreTimeout):
        Membership(source)
    known: HashRing = pickle.loads(pickle.dumps(HashRing(["a", "b"], epoch=41)))
    with Membership(source, known, debounce=0, watch=False) as membership:
        assert membership.ring is known
        assert membership.error is source.failure
        source.failure = None
        membership.refresh()
        assert (membership.ring.nodes, membership.epoch) == (("a",), 42)
        assert failure(membership) is None


def test_callbacks_and_iterators_get_old_new_and_diff() -> None:
    setting = Setting(debounce=0)
    told: list[Any] = []
    setting.membership.on_change(lambda old, new, diff: told.append((old, new, diff)))
    changes = setting.membership.changes()
    before = setting.membership.ring
    after = setting.after(1, ["a", "b", "c"])
    [(old, new, diff)] = told
    assert (old, new) == (before, after)
    assert isinstance(diff, Migration)
    assert diff.after["c"] > 0
    change = changes.next(timeout=0)
    assert change is not None
    assert change[:2] == (before, after)
    assert change.diff.fraction == diff.fraction
    assert changes.next(timeout=0.01) is None


def test_a_slow_iterator_gets_several_changes_as_one() -> None:
    setting = Setting(debounce=0)
    before, changes = setting.membership.ring, setting.membership.changes()
    setting.after(1, ["a", "b", "c"])
    last = setting.after(1, ["c", "d"])
    [(old, new, _)] = itertools.islice(changes, 1)
    assert (old, new) == (before, last)


def test_iterators_end_when_the_membership_is_closed() -> None:
    setting = Setting(debounce=0)
    changes = setting.membership.changes()
    seen: list[Any] = []
    reader = threading.Thread(target=lambda: seen.extend(changes))
    setting.after(1, ["c"])
    reader.start()
    setting.membership.close()
    reader.join(60)
    assert not reader.is_alive()
    assert [change.new.nodes for change in seen] == [("c",)]


def test_a_callback_that_fails_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    setting, told = Setting(debounce=0), []
    setting.membership.on_change(lambda old, new, diff: 1 // 0)
    setting.membership.on_change(lambda old, new, diff: told.append(new.epoch))
    setting.after(1, ["a"])
    assert told == [3]
    assert [args.exc_type for args in failures] == [ZeroDivisionError]
    assert setting.membership.error is None


def test_a_callback_may_refresh_and_close() -> None:
    setting, told = Setting(debounce=0), []

    def nosy(old: Placement, new: Placement, diff: Diff) -> None:
        setting.membership.refresh()
        setting.membership.close()
        told.append(setting.membership.ring)

    setting.membership.on_change(nosy)
    ring = setting.after(1, ["a"])
    assert told == [ring]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ring": 7}, InvalidType),
        ({"ring": HashRing}, InvalidType),
        ({"debounce": -1}, InvalidValue),
        ({"debounce": "5"}, InvalidType),
        ({"hold": float("nan")}, InvalidValue),
        ({"poll": 0}, InvalidValue),
        ({"poll": True}, InvalidType),
    ],
)
def test_wrong_options(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Membership(StaticSource(["a"]), **options)


def test_wrong_arguments() -> None:
    setting = Setting()
    with pytest.raises(InvalidType):
        setting.membership.on_change(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="no node can register"):
        setting.membership.register("c")
    with pytest.raises(InvalidValue, match="ttl"):
        Membership(MemorySource(), watch=False).register("c", ttl=0)
    with pytest.raises(UnknownNode):
        setting.membership.suspicion("z")
    with pytest.raises(InvalidValue, match="two nodes"):
        StaticSource(["a", "a"])
    with pytest.raises(InvalidType):
        Membership.from_url(7)  # type: ignore[arg-type]


@pytest.fixture
def group() -> Iterator[tuple[MemoryGroup, FakeClock]]:
    clock = FakeClock()
    return MemoryGroup(clock), clock  # type: ignore[return-value]


def test_a_silent_node_is_suspected_and_stays_in_the_ring(group: tuple[MemoryGroup, FakeClock]) -> None:
    shared, clock = group
    ttl = {"a": 3.0, "b": 30.0}
    beating = MemorySource(shared)
    entries = {name: Entry(Node(name), name, seconds, fence=1) for name, seconds in ttl.items()}
    for entry in entries.values():
        beating.enter(entry)
    watcher = Membership(MemorySource(shared), debounce=0, watch=False, clock=clock)
    for _ in range(20):
        clock.advance(1.0)
        beating.renew(list(entries.values()))
        watcher.refresh()
    assert watcher.suspects() == ()
    assert watcher.suspicion("b") < 1
    for _ in range(8):
        clock.advance(1.0)
        beating.renew([entries["a"]])
        watcher.refresh()
    assert watcher.suspects() == ("b",)
    assert watcher.suspicion("b") > 8 > 1 > watcher.suspicion("a")
    assert watcher.suspects(threshold=1e9) == ()
    assert watcher.ring.nodes == ("a", "b")
    clock.advance(30)
    beating.renew([entries["a"]])  # too late
    assert beating.enter(entries["a"]) is not None
    watcher.refresh()
    assert [*watcher.ring.nodes] == ["a"]


def test_an_outage_of_the_source_makes_nobody_suspect(
    group: tuple[MemoryGroup, FakeClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, clock = group
    source, entry = MemorySource(shared), Entry(Node("a"), "a", 1000.0)
    source.enter(entry)
    watcher = Membership(source, watch=False, clock=clock)

    def seconds(count: int) -> None:
        for _ in range(count):
            clock.advance(1.0)
            source.renew([entry])
            watcher.refresh()

    seconds(10)
    with monkeypatch.context() as patch:
        patch.setattr(source, "read", lambda: 1 // 0)
        seconds(50)
    clock.advance(1.0)
    watcher.refresh()
    seconds(5)
    clock.advance(6.0)  # as silent as never, since the 50 seconds count for nothing
    watcher.refresh()
    assert watcher.suspects() == ("a",)


@pytest.mark.parametrize(
    ("url", "driver", "extra"),
    [
        ("etcd://localhost", "urllib3", "etcd"),
        ("zookeeper://localhost", "kazoo", "zookeeper"),
        ("redis://localhost", "redis", "redis"),
    ],
)
def test_without_its_driver_a_source_names_what_to_install(
    url: str, driver: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [driver, *(name for name in sys.modules if name.startswith(f"{driver}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailable, match=rf"ringfence\[{extra}\]"):
        Membership.from_url(url)
