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
from ringfence.transactions.coordinator import Coordinator

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
        """Transfer; start again when another took over."""
        coordinator = yield from self.start(process.name)
        for _ in range(TRANSFERS):
            yield from self.transfer(coordinator, process)
            yield Sleep(self.random.uniform(0.0, 0.05))
            if (yield from self.is_replaced(coordinator)):
                coordinator = yield from self.start(process.name)

    def is_replaced(self, coordinator: Coordinator) -> Effects[bool]:
        """Has another taken over the name, as far as can be known?"""
        try:
            newest: int = yield Call(coordinator.decisions, "epoch", (coordinator.name,))
        except StoreError:
            return False
        return newest != coordinator.epoch

    def take_over(self, process: Process) -> Effects[None]:
        """Recover in the name of the other coordinator, and ask what became of some transfers."""
        coordinator = Coordinator(process.name, self.decisions["main"], self.participants)
        for _ in range(ROUNDS):
            yield Sleep(self.random.uniform(0.0, 0.4))
            try:
                yield from self.recover(coordinator, "main")
            except StoreError:
                continue
            for gid in self.random.sample(list(self.intended), min(2, len(self.intended))):
                yield from self.ask(coordinator, gid)
