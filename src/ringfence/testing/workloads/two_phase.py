"""Coordinators that move money in two phases, each with a decision store on its own disk.

Now and then one crashes, and starts again with its own recovery.
"""

from __future__ import annotations

from ringfence.protocol import Effects, Sleep
from ringfence.testing.simulator import Process, Simulation
from ringfence.testing.workloads.bank import Bank
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome

COORDINATORS = ("anna", "bert", "carl")
TRANSFERS = 3


class TwoPhase(Bank):
    """The scene."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.last: dict[str, str] = {}
        self.fsync_fails = self.random.choice((0.0, 0.0, 0.2))
        for name in COORDINATORS:
            self.share_store(name)
            simulation.spawn(name, self.work, self.work)
        simulation.on_crash.append(lambda process: self.decisions[process.name].restart())

    def work(self, process: Process) -> Effects[None]:
        """Recover what an earlier incarnation left behind, then transfer."""
        name = process.name
        epoch = yield from self.begin(name)
        yield from self.recover(name, epoch)
        if name in self.last:
            yield from self.ask(self.last[name], over=False)
        for number in range(TRANSFERS):
            gid = self.last[name] = str(Gid(name, epoch, number + 1))
            outcome = yield from self.transfer(gid, process)
            if outcome is Outcome.IN_DOUBT:
                yield from self.recover(name, epoch)
                yield from self.ask(gid, over=True)
            yield Sleep(self.random.uniform(0.0, 0.05))
