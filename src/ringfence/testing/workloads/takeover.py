"""The smallest scene in which everything can go wrong with a decision: for very many schedules.

One coordinator runs a few transfers, and two others take over from it while it may be alive: slow, crashed, in doubt,
a zombie. They crash too, and then others recover what they began to. A schedule is over in some fifty requests.
"""

from __future__ import annotations

from dataclasses import replace

from ringfence.errors import StoreError
from ringfence.protocol import Effects, Sleep
from ringfence.testing.simulator import Process, Simulation
from ringfence.testing.workloads.bank import Bank
from ringfence.transactions.coordinator import Coordinator

RECOVERERS = ("one", "two")
TRANSFERS = 2


class TakeOver(Bank):
    """The scene."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        faults = simulation.faults
        more = {what: getattr(faults, what) + 0.03 for what in ("cut", "crash", "pause")}
        simulation.faults = replace(faults, **more)
        self.share_store("main")
        simulation.spawn("main", self.work, self.recover_own)
        for name in RECOVERERS:
            simulation.spawn(name, self.take_over, self.take_over, self.random.uniform(0.0, 0.1))

    def work(self, process: Process) -> Effects[None]:
        """Transfer; what stays in doubt is settled by others, or by itself."""
        coordinator = yield from self.start("main")
        for _ in range(TRANSFERS):
            gid = yield from self.transfer(coordinator, process)
            if gid not in self.reported and self.random.random() < 0.5:
                yield from self.recover_and_ask(coordinator, gid)

    def recover_own(self, _: Process) -> Effects[None]:
        """Start again after a crash, and recover."""
        coordinator = yield from self.start("main")
        yield from self.recover(coordinator)

    def take_over(self, process: Process) -> Effects[None]:
        """Recover in the name of the coordinator, and ask what became of its last transfer."""
        coordinator = Coordinator(process.name, self.decisions["main"], self.participants)
        yield from self.recover_and_ask(coordinator, next(reversed(self.intended), None), "main")

    def recover_and_ask(
        self, coordinator: Coordinator, gid: str | None, name: str | None = None
    ) -> Effects[None]:
        """Recover, and tell what became of a transfer."""
        try:
            yield from self.recover(coordinator, name)
        except StoreError:
            yield Sleep(0.02)
        if gid is not None:
            yield from self.ask(coordinator, gid)
