"""111,000 schedules; and that they are worth something: every kind of fault happens, and so does the work.

`RINGFENCE_SEED_START=50000 pytest tests/testing/test_schedules.py` plays others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from ringfence.testing.schedule import play

START = int(os.environ.get("RINGFENCE_SEED_START", "0"))
SCHEDULES = {
    "locks": 3500,
    "cohorts": 1000,
    "shares": 1000,
    "two_phase": 2500,
    "recovery": 2000,
    "rebalance": 1000,
    "takeover": 100_000,
}
CHUNKS = dict.fromkeys(SCHEDULES, 100) | {"takeover": 1000}  # its schedules are small


def chunks() -> Iterator[tuple[str, int, int]]:
    """Workload, first seed and number of schedules of each test; small enough to be shared among workers."""
    for workload, count in SCHEDULES.items():
        for first in range(0, count, CHUNKS[workload]):
            yield workload, first, CHUNKS[workload]


FAULTS = {
    "lose_request",
    "lose_reply",
    "double",
    "delay",
    "cut",
    "crash",
    "restart",
    "pause",
    "skew",
    "drift",
}
WORK = {
    "locks": {"acquired", "lost", "rejected", "wall_set_back"},
    "cohorts": {"acquired", "lost", "wall_set_back", "handed on"},
    "shares": {"acquired", "lost", "wall_set_back", "together"},
    "two_phase": {"committed", "aborted", "in doubt", "recovered", "fsync_failed"},
    "recovery": {"committed", "aborted", "in doubt", "recovered", "stale"},
    "takeover": {"committed", "aborted", "in doubt", "recovered", "stale"},
    "rebalance": {"moved", "written", "StaleRing", "LeaseLost", "Aborted", "InDoubt"},
}


@pytest.mark.parametrize(("workload", "first", "count"), list(chunks()))
def test_nothing_goes_wrong(workload: str, first: int, count: int) -> None:
    for seed in range(START + first, START + first + count):
        play(workload, seed)


@pytest.mark.parametrize("workload", SCHEDULES)
def test_everything_happens(workload: str) -> None:
    counts: Counter[str] = Counter()
    for seed in range(CHUNKS[workload]):
        counts.update(play(workload, seed).counts)
    rare = {what: counts[what] for what in FAULTS | WORK[workload] if counts[what] < 5}
    assert not rare


@pytest.mark.parametrize("workload", SCHEDULES)
def test_a_seed_plays_the_same_every_time(workload: str) -> None:
    for seed in range(20):
        first: list[str] = []
        again: list[str] = []
        play(workload, seed, trace=first.append)
        play(workload, seed, trace=again.append)
        assert first == again
        assert len(first) > 20
