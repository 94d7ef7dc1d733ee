"""The phi-accrual detector against numbers worked out by hand and by integration."""

import itertools
import math
import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.placement.membership.phi import Heartbeats, PhiAccrual, minus_log10_tail
from ringfence.placement.membership.sources import Member
from ringfence.placement.node import Node


@pytest.mark.parametrize(
    ("deviations", "phi"),
    # from a table of the standard normal distribution: 1 - Phi(x)
    [(0.0, 0.30103), (1.0, 0.79955), (2.0, 1.64302), (3.0, 2.86967), (4.0, 4.49934), (5.0, 6.54265)],
)
def test_phi_of_the_table(deviations: float, phi: float) -> None:
    assert minus_log10_tail(deviations) == pytest.approx(phi, abs=1e-4)


@given(st.floats(-40, 6))
def test_phi_is_the_tail_of_the_normal_distribution(x: float) -> None:
    assert minus_log10_tail(x) == pytest.approx(-math.log10(NormalDist().cdf(-x)), rel=1e-6, abs=1e-12)


@given(st.floats(-10, 1e6), st.floats(1e-3, 100))
def test_phi_grows_without_end(x: float, more: float) -> None:
    assert minus_log10_tail(x + more) >= minus_log10_tail(x)


def test_there_is_no_step_where_erfc_underflows() -> None:
    assert minus_log10_tail(37.0) == pytest.approx(minus_log10_tail(37.2), abs=3.5)
    numbers = [minus_log10_tail(36.9 + step / 1000) for step in range(500)]
    assert all(0 < after - before < 0.05 for before, after in itertools.pairwise(numbers))


def beating(intervals: list[float], **options: float) -> tuple[PhiAccrual, float]:
    detector, now = PhiAccrual(**options), 0.0  # type: ignore[arg-type]
    detector.heartbeat(now)
    for interval in intervals:
        now += interval
        detector.heartbeat(now)
    return detector, now


def test_silence_is_measured_in_deviations_from_the_mean() -> None:
    detector, now = beating([1.0, 3.0] * 50, min_deviation=0.1)  # mean 2, deviation 1
    assert detector.phi(now + 2) == pytest.approx(0.30103, abs=1e-4)
    assert detector.phi(now + 5) == pytest.approx(2.86967, abs=1e-4)
    assert detector.phi(now) < 0.011


def test_regular_beats_are_never_taken_for_more_regular_than_the_least_deviation() -> None:
    detector, now = beating([2.0] * 50, min_deviation=0.5)
    assert detector.phi(now + 2.5) == pytest.approx(0.79955, abs=1e-4)


def test_old_intervals_are_forgotten() -> None:
    detector, now = beating([50.0] * 20 + [1.0] * 10, window=10)
    assert detector.phi(now + 5) > 8


def test_nobody_is_suspected_before_three_intervals_are_known() -> None:
    detector, now = beating([1.0, 1.0])
    assert detector.phi(now + 1000) == 0.0
    detector.heartbeat(now + 1)
    assert detector.phi(now + 1001) > 8


def test_few_are_suspected_wrongly_and_the_dead_soon() -> None:
    rng = random.Random(7)
    detector, now = beating([max(0.1, rng.gauss(1.0, 0.2)) for _ in range(200)], min_deviation=0.1)
    wrong = 0
    for _ in range(5000):
        interval = max(0.1, rng.gauss(1.0, 0.2))
        wrong += detector.phi(now + interval) >= 3
        now += interval
        detector.heartbeat(now)
    assert wrong <= 25  # one in a thousand is 5
    assert detector.phi(now + 2.4) >= 8


def members(**beats: int) -> list[Member]:
    return [Member(Node(name), 1, beat) for name, beat in beats.items()]


def regular(count: int = 10) -> Heartbeats:
    heartbeats = Heartbeats(min_deviation=0.1)
    for second in range(count):
        heartbeats.observe(members(a=second, b=second), second)
    return heartbeats


def test_only_the_silent_one_is_suspected() -> None:
    heartbeats = regular()
    heartbeats.observe(members(a=10, b=9), 10)
    found = heartbeats.observe(members(a=11, b=9), 11)
    assert found["a"] < 1
    assert found["b"] > 8


def test_an_outage_of_the_source_makes_nobody_suspect() -> None:
    heartbeats = regular()
    heartbeats.interrupt()
    found = heartbeats.observe(members(a=9, b=9), 500)
    assert max(found.values()) < 1
    found = heartbeats.observe(members(a=10, b=9), 501)  # who stays silent from here on is suspected again
    found = heartbeats.observe(members(a=11, b=9), 502)
    assert found["a"] < 1
    assert found["b"] > 8


def test_another_registration_begins_afresh() -> None:
    heartbeats = regular()
    found = heartbeats.observe([Member(Node("a"), 2, 0)], 500)
    assert found == {"a": 0.0}
    assert heartbeats.observe(members(b=1), 501) == {"b": 0.0}
