"""The decision store whose disk can fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ringfence.errors import OutcomeUnknown, StoreError
from ringfence.testing.disk import DiskDecisions
from ringfence.testing.switches import SWITCHES
from ringfence.transactions.outcome import Outcome

COMMITTED = Outcome.COMMITTED


def failing_at(*which: int) -> Iterator[bool]:
    return iter([number in which for number in range(10)])


def opened(fails: Iterator[bool], survives: bool = False) -> DiskDecisions:
    store = DiskDecisions(lambda: next(fails), lambda: survives)
    store.begin_epoch("main")
    return store


def test_what_was_synced_survives_a_restart() -> None:
    store = opened(failing_at())
    assert store.put_if_absent("main.1.1", COMMITTED) is COMMITTED
    store.restart()
    assert store.get("main.1.1") is COMMITTED


@pytest.mark.parametrize("survives", [False, True])
def test_a_failed_fsync_is_of_unknown_outcome_until_the_restart(survives: bool) -> None:
    store = opened(failing_at(0), survives)
    with pytest.raises(OutcomeUnknown, match=r"fsync failed under the decision of main\.1\.1"):
        store.put_if_absent("main.1.1", COMMITTED)
    store.restart()
    assert store.get("main.1.1") is (COMMITTED if survives else None)


def test_after_a_failed_fsync_nothing_more_is_decided_until_the_restart() -> None:
    store = opened(failing_at(0))
    with pytest.raises(OutcomeUnknown):
        store.put_if_absent("main.1.1", COMMITTED)
    for gid in ("main.1.1", "main.1.2"):
        with pytest.raises(StoreError, match="no more decisions in this process"):
            store.put_if_absent(gid, COMMITTED)
        assert store.get(gid) is None
    store.restart()
    assert store.put_if_absent("main.1.2", COMMITTED) is COMMITTED


def test_without_that_rule_the_next_fsync_lies() -> None:
    store = opened(failing_at(0))
    with SWITCHES["failed-fsync-ends-deciding"].off():
        with pytest.raises(OutcomeUnknown):
            store.put_if_absent("main.1.1", COMMITTED)
        assert store.put_if_absent("main.1.1", COMMITTED) is COMMITTED
    store.restart()
    assert store.get("main.1.1") is None
