"""`python -m ringfence.testing`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from ringfence.testing.__main__ import main
from ringfence.testing.network import Violation
from ringfence.testing.schedule import play
from ringfence.testing.workloads import WORKLOADS


def test_the_line_of_a_violation_plays_it_again_and_shows_every_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(Violation) as failed:
        play_many("two_phase", off="failed-statement-votes-no")
    *said, line = str(failed.value).splitlines()
    command = shlex.split(line.removeprefix("play it again: "))
    assert command[:3] == ["python", "-m", "ringfence.testing"]
    assert main(command[3:]) == 1
    shown = capsys.readouterr().out
    assert f"VIOLATION: {said[0]}" in shown
    assert ".prepare('" in shown


def play_many(workload: str, off: str) -> None:
    for seed in range(100):
        play(workload, seed, off)


def test_it_plays_many_schedules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--workload", "locks", "--seed", "7", "--count", "5"]) == 0
    assert capsys.readouterr().out == "5 of 5 schedules of locks are as they should be\n"


@pytest.mark.parametrize("wrong", [["--workload", "chess", "--seed", "1"], ["--workload", "locks"]])
def test_it_refuses_what_it_does_not_know(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(wrong)
    assert "usage: python -m ringfence.testing" in capsys.readouterr().err


@pytest.mark.parametrize("workload", WORKLOADS)
def test_it_is_a_command_whose_trace_is_the_same_in_every_process(workload: str) -> None:
    command = [sys.executable, "-m", "ringfence.testing", "--workload", workload, "--seed", "3", "--trace"]
    traces = {
        subprocess.run(
            command, capture_output=True, check=True, timeout=60, env={**os.environ, "PYTHONHASHSEED": hashes}
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(traces) == 1
    assert traces.pop().count(b"carried out") > 20
