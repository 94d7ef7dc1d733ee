"""Without any one of the safety rules the simulator finds what goes wrong; with it, on the same seeds, nothing."""

from __future__ import annotations

import pytest

from ringfence.testing.network import Violation
from ringfence.testing.schedule import play, replay
from ringfence.testing.switches import SWITCHES

ENOUGH = 2000


@pytest.mark.parametrize("rule", SWITCHES)
def test_a_violation_is_found_without_the_rule(rule: str) -> None:
    workload = SWITCHES[rule].workload
    seed, text = first_violation(workload, rule)
    assert text.endswith(replay(workload, seed, rule))
    play(workload, seed)  # as do the seeds before it, in test_schedules


def first_violation(workload: str, rule: str) -> tuple[int, str]:
    for seed in range(ENOUGH):
        try:
            play(workload, seed, off=rule)
        except Violation as violation:
            return seed, str(violation)
    pytest.fail(f"{ENOUGH} schedules of {workload} show nothing wrong without {rule}")


@pytest.mark.parametrize("rule", SWITCHES)
def test_every_switch_says_what_its_rule_is_for(rule: str) -> None:
    text = SWITCHES[rule].off.__doc__
    assert text is not None
    assert "Off, " in text
