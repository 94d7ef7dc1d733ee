"""Clients with several workers each, which hand locks on among themselves; the oracles are those of `locks`.

Besides, nobody waits for ever: a worker that was forgotten in its line would keep the schedule from ending.
"""

from __future__ import annotations

from functools import partial

from ringfence.locks.acquire import Granted
from ringfence.locks.cohort import Cohort
from ringfence.locks.stores import Claim
from ringfence.protocol import Effects, Sleep
from ringfence.testing.network import Answer, Later
from ringfence.testing.simulator import Process, Simulation
from ringfence.testing.workloads.locks import TIMEOUT, TTL, Client, Locks

WORKERS = 4
FENCES = 3


class Cohorts(Locks):
    """The scene of `locks`, with a cohort in each process."""

    def client(self, process: Process) -> Client:
        """A client of several workers that has just started."""
        client = CohortClient(self, process)
        for number in range(1, WORKERS):
            self.simulation.start(process, partial(client.start, f".{number}"))
        return client

    def check_left(self, name: str, owner: str, why: str) -> None:
        """An owner id is handed on with its lease, so that nothing can be said about it here."""


class CohortClient(Client):
    """A process whose workers share one place in the queue of the store."""

    def __init__(self, scene: Locks, process: Process) -> None:
        super().__init__(scene, process)
        self.working = WORKERS
        waiter = partial(SimulatedWaiter, scene.simulation)
        self.cohort = Cohort(scene.store, self.table, waiter, process.clock, FENCES, self.random.random)

    def start(self, worker: str, _: Process) -> Effects[None]:
        """What another worker does."""
        return self.work(worker)

    def work(self, worker: str = "") -> Effects[None]:
        """Work; the last worker to end ends the renewals."""
        yield from super().work(worker)
        self.working -= 1
        self.done = not self.working

    def acquiring(self, name: str, owner: str) -> Effects[Granted | None]:
        """Take a lock, from the store or from another worker; some wait for as long as it takes."""
        timeout = self.random.choice((TIMEOUT, TIMEOUT / 10, 0.0, None))
        return self.cohort.acquire(name, owner, TTL, timeout, bool)

    def releasing(self, claim: Claim, deadline: float) -> Effects[bool]:
        """Give a lock to the store or to another worker."""
        self.scene.simulation.counts["handed on"] += claim.handed > 0
        return self.cohort.release(claim, deadline)

    def use(self, claim: Claim) -> Effects[None]:
        """Use the lock for a short time, mostly."""
        if self.random.random() < 0.3:
            yield from super().use(claim)
        else:
            yield Sleep(self.random.uniform(0.0, 0.002))


class SimulatedWaiter:
    """What a worker waits on; being woken takes no time."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._answer: Answer | None = None
        self._woken = False

    def wait(self, seconds: float) -> Later:
        """Wait until woken, `seconds` at most."""
        return Later(partial(self._wait, seconds))

    def wake(self) -> None:
        """End the wait."""
        self._woken = True
        self._simulation.after(0.0, self._end, self._answer)

    def _wait(self, seconds: float, answer: Answer) -> None:
        self._answer = answer
        self._simulation.after(0.0 if self._woken else seconds, self._end, answer)

    def _end(self, answer: Answer | None) -> None:
        if answer is not None and answer is self._answer:
            self._answer, self._woken = None, False
            answer(None)
