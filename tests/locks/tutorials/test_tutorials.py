"""The locks of widely read tutorials, on real servers: the conformance suite rejects both, rule by rule."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from ringfence.locks.stores import LockStore
from ringfence.testing.lock_store import LockStoreSuite
from ringfence.testing.servers.redis import Redis
from ringfence.testing.servers.zookeeper import ZooKeeper
from tests.locks.tutorials.sequence_node import SequenceNode
from tests.locks.tutorials.set_then_delete import SetThenDelete

RULES = {
    "one holder at a time": "test_one_owner_holds_at_a_time",
    "one holder of many that ask at once": "test_of_many_threads_one_is_granted",
    "a lease that stands for its ttl": "test_a_grant_stands_for_its_ttl",
    "a fence, greater with every grant": "test_every_grant_has_a_greater_fence",
    "an answer to who releases": "test_a_release_frees",
    "a release by the holder alone": "test_a_late_release_leaves_the_next_holder_alone",
    "renewal": "test_a_renewal_extends",
    "a queue": "test_waiters_are_granted_the_lock_in_the_order_in_which_they_came",
    "somebody to name": "test_the_holder_is_named",
}


class Suite(LockStoreSuite):
    """The suite over a store that a test has opened, and closes."""

    def __init__(self, store: LockStore) -> None:
        self._store = store

    def open(self) -> LockStore:
        return self._store

    @contextmanager
    def _opened(self) -> Iterator[LockStore]:
        yield self._store


@pytest.mark.parametrize("rule", RULES)
def test_set_then_delete_breaks(rule: str, redis_server: Redis) -> None:
    with closing(SetThenDelete(redis_server.url)) as store:
        rejects(store, rule)


@pytest.mark.parametrize("rule", RULES)
def test_a_sequence_node_breaks(rule: str, zookeeper_server: ZooKeeper) -> None:
    with closing(SequenceNode(f"{zookeeper_server.host}:{zookeeper_server.port}")) as store:
        rejects(store, rule)


def rejects(store: LockStore, rule: str) -> None:
    with pytest.raises(AssertionError):
        getattr(Suite(store), RULES[rule])()
