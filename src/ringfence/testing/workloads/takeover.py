"""The smallest scene in which everything can go wrong with a decision: for very many schedules.

One coordinator runs a few transfers, and two others take over from it while it may be alive: slow, crashed, in doubt,
a zombie. They crash too, and then others recover what they began to. In half of the schedules the decisions are in the
database of a participant, and in half of them a transfer is acknowledged as soon as it is decided. A schedule is over
in some fifty requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ringfence.errors import StoreError
from ringfence.protocol import Effects, Sleep
from ringfence.testing.simulator import Process, Simulation
from ringfence.testing.workloads.bank import Bank, opened
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.two_phase import Enlisted

MARKER = "east"
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
        if self.random.random() < 0.5:
            self.participants[MARKER] = opened(self.decisions["main"])
            simulation.name(self.participants[MARKER], f"{MARKER} (marker)")
        self.ack = self.random.choice(("applied", "decided"))
        simulation.spawn("main", self.work, self.recover_own)
        for name in RECOVERERS:
            simulation.spawn(name, self.take_over, self.take_over, self.random.uniform(0.0, 0.1))

    def work(self, process: Process) -> Effects[None]:
        """Transfer; what stays in doubt is settled by others, or by itself."""
        coordinator = yield from self.start("main")
        if self.ack == "decided":
            coordinator.defer = partial(self.finish_later, coordinator, process)
        for _ in range(TRANSFERS):
            gid = yield from self.transfer(coordinator, process)
            if gid not in self.reported and self.random.random() < 0.5:
                yield from self.recover_and_ask(coordinator, gid)

    def finish_later(
        self, coordinator: Coordinator, process: Process, gid: str, branches: Sequence[Enlisted]
    ) -> None:
        """Tell the branches of a decided transfer, beside what else is at work."""

        def finish(_: Process) -> Effects[None]:
            yield Sleep(self.random.uniform(0.0, 0.03))
            yield from coordinator.finish([(gid, branches)])
            self.simulation.counts["deferred"] += 1

        self.simulation.start(process, finish)

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
