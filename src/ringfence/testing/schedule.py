"""One schedule: a workload under a seed, with its oracles; and the line that plays it again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from ringfence.testing.network import Violation
from ringfence.testing.simulator import Simulation
from ringfence.testing.switches import SWITCHES
from ringfence.testing.workloads import WORKLOADS


def play(
    workload: str, seed: int, off: str | None = None, trace: Callable[[str], None] | None = None
) -> Simulation:
    """Play one schedule to its end.

    Args:
        workload: a name of `WORKLOADS`.
        seed: decides the schedule.
        off: a name of `SWITCHES`: the safety rule to play without.
        trace: called with a line about every step.

    Returns:
        The simulation that was played, for what it counted.

    Raises:
        Violation: an oracle saw what must never happen; the text ends with the command that plays it again.
    """
    simulation = Simulation(f"{workload} {seed}", trace=trace)
    with ExitStack() as stack:
        stack.callback(simulation.close)
        if off is not None:
            stack.enter_context(SWITCHES[off].off())
        try:
            scene = WORKLOADS[workload](simulation)
            simulation.run()
            scene.check()
        except Violation as violation:
            raise Violation(f"{violation}\nplay it again: {replay(workload, seed, off)}") from violation
    return simulation


def replay(workload: str, seed: int, off: str | None = None) -> str:
    """The command that plays a schedule again and shows every step."""
    without = f" --off {off}" if off else ""
    return f"python -m ringfence.testing --workload {workload} --seed {seed}{without} --trace"
