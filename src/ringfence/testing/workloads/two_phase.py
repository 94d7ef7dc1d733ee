"""Coordinators that move money in two phases, each with a decision store on its own disk.

Each runs two transactions at a time. Now and then one crashes, and starts again with its own recovery.
"""

from __future__ import annotations

from functools import partial

from ringfence.protocol import Effects, Sleep
from ringfence.testing.simulator import Process, Simulation
from ringfence.testing.workloads.bank import Bank
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.outcome import Outcome

COORDINATORS = ("anna", "bert", "carl")
TRANSFERS = 2


class TwoPhase(Bank):
    """The scene."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.fsync_fails = self.random.choice((0.0, 0.0, 0.2))
        for name in COORDINATORS:
            self.share_store(name)
            simulation.spawn(name, self.work, self.work)
        simulation.on_crash.append(lambda process: self.decisions[process.name].restart())

    def work(self, process: Process) -> Effects[None]:
        """Recover what an earlier incarnation left behind, then transfer."""
        coordinator = yield from self.start(process.name)
        yield from self.recover(coordinator)
        self.simulation.start(process, partial(self.transfers, coordinator))
        yield from self.ask_about_earlier_ones(coordinator)
        yield from self.transfers(coordinator, process)

    def ask_about_earlier_ones(self, coordinator: Coordinator) -> Effects[None]:
        """Ask what became of some transfers of earlier starts."""
        own = [gid for gid in self.intended if gid.startswith(f"{coordinator.name}.")]
        for gid in self.random.sample(own, min(2, len(own))):
            yield from self.ask(coordinator, gid)

    def transfers(self, coordinator: Coordinator, process: Process) -> Effects[None]:
        """Transfer some times; settle what stays in doubt, beside what else is at work."""
        for _ in range(TRANSFERS):
            gid = yield from self.transfer(coordinator, process)
            if self.reported.get(gid, Outcome.IN_DOUBT) is Outcome.IN_DOUBT:
                yield from self.recover(coordinator)
                yield from self.ask(coordinator, gid)
            yield Sleep(self.random.uniform(0.0, 0.05))
