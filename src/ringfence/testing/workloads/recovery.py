"""One coordinator that crashes and pauses, and several others that take over from it, all at once.

They share one decision store. A coordinator that was only slow finds itself a zombie: another has its name, in a
newer epoch. Beside them works a coordinator of another name, spared all faults, whom nobody may disturb.
"""

from __future__ import annotations

from dataclasses import replace

from ringfence.errors import StoreError
from ringfence.protocol import Call, Effects, Sleep
from ringfence.testing.simulator import Process, Simulation
from ringfence.testing.workloads.bank import Bank
from ringfence.transactions.gid import Gid

RECOVERERS = 2
ROUNDS = 3
TRANSFERS = 4


class Recovery(Bank):
    """The scene."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        simulation.faults = replace(
            simulation.faults, crash=simulation.faults.crash + 0.02, pause=simulation.faults.pause + 0.02
        )
        self.share_store("main", "well")
        simulation.spawn("main", self.work, self.work)
        simulation.spawn("well", self.work).spared = True
        self.spared.add("well")
        for number in range(RECOVERERS):
            simulation.spawn(f"recoverer-{number}", self.take_over, self.take_over)

    def work(self, process: Process) -> Effects[None]:
        """Transfer; start again with a new epoch when another took over."""
        name = process.name
        epoch = yield from self.begin(name)
        for number in range(TRANSFERS):
            yield from self.transfer(str(Gid(name, epoch, number + 1)), process)
            yield Sleep(self.random.uniform(0.0, 0.05))
            try:
                if (yield Call(self.decisions[name], "epoch", (name,))) != epoch:
                    epoch = yield from self.begin(name)
            except StoreError:
                pass

    def take_over(self, _: Process) -> Effects[None]:
        """Recover in the name of the coordinator, as its newest epoch, and ask what became of some transfers."""
        for _round in range(ROUNDS):
            yield Sleep(self.random.uniform(0.0, 0.4))
            epoch = yield from self.begin("main")
            yield from self.recover("main", epoch)
            for gid in self.random.sample(sorted(self.intended), min(2, len(self.intended))):
                yield from self.ask(gid, over=False)
