"""Clients that take locks, write through a guard, have their leases renewed, and give the locks back.

Oracles:
    - never do two clients believe at one instant that they hold the same lock, but for what clock drift allows;
    - fences grow with every grant of a lock, and an owner that asks again gets the fence it has;
    - guarded writes never go back to an older fence, whatever else goes wrong;
    - a lock is granted to those who wait in the order in which they came, unless they stopped asking;
    - a lock given back is free; a client that left without the lock has left nothing behind;
    - in the end every lock can be had.
"""

from __future__ import annotations

from ringfence._core.leases import FenceMarks, LeaseTable
from ringfence.errors import FenceRejected, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks import renewal
from ringfence.locks.acquire import Granted, acquire, release
from ringfence.locks.stores import Claim
from ringfence.protocol import Call, Effects, Sleep
from ringfence.testing.network import ANYTHING, LOCAL, Violation
from ringfence.testing.simulator import Process, Simulation
from ringfence.testing.workloads.lock_store import WatchedStore

LOCKS = ("a", "b")
CLIENTS = 3
ROUNDS = 3
WRITES = 3
TTL = 0.3
LONGER = 1.5
"""An extension is for this many ttls."""

TIMEOUT = 0.6
PATIENCE = 12.0
"""Seconds after which a lock can be had, however many places and leases the dead have left behind."""

EPOCH_2026 = 1_767_225_600.0


class Leases(LeaseTable):
    """The deadlines of a client; a class of its own because a rule can be switched off in no compiled one."""


class Locks:
    """The scene: a lock store, a guarded resource a lock, and clients."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        faults = simulation.faults
        self.tolerance = TTL * LONGER * faults.drift / (1 - faults.drift) * 1.01 + 1e-9
        self.orderly = not (faults.delay or faults.double or faults.cut)
        self.wall_offset = 0.0
        self.through: set[str] = set()
        self.fences: dict[str, int] = {}
        self.clients: dict[str, Client] = {}
        self.store = WatchedStore(simulation, self.wall, self.check_grant)
        simulation.network.routes = lambda call: LOCAL if call.operation == "wait" else ANYTHING
        self.resources = {name: Resource(name) for name in LOCKS}
        simulation.name(self.store, "store")
        for name in LOCKS:
            simulation.name(self.resources[name], name)
        for number in range(CLIENTS):
            simulation.spawn(f"client-{number}", self.work, self.work)
        if faults.offset:
            simulation.after(simulation.random.uniform(0.0, 1.0), self.set_wall_clock, -faults.offset)
        simulation.on_crash.append(self.forget)

    def whole(self, name: str) -> str:
        """What nobody can have beside another."""
        return name

    def client(self, process: Process) -> Client:
        """A client that has just started."""
        return Client(self, process)

    def work(self, process: Process) -> Effects[None]:
        """What a client does, from its start and from each restart."""
        client = self.clients[process.name] = self.client(process)
        self.simulation.start(process, client.keep)
        return client.work()

    def forget(self, process: Process) -> None:
        """A process that crashed believes nothing any more."""
        self.clients.pop(process.name, None)

    def wall(self) -> float:
        """The store's wall clock, which somebody may set back."""
        return EPOCH_2026 + self.wall_offset + self.simulation.clock()

    def set_wall_clock(self, offset: float) -> None:
        """Set the wall clock back, or on."""
        self.wall_offset = offset
        self.simulation.counts["wall_set_back"] += 1

    def check_sole_holder(self, name: str) -> None:
        """At most one client believes that it holds the lock, and goes on believing for more than drift allows."""
        holders = [
            client.process.name
            for client in self.clients.values()
            for claim in client.held(name)
            if client.believes(claim) > self.tolerance
        ]
        if len(holders) > 1:
            raise Violation(
                f"lock {name!r} is held by {' and '.join(holders)} at {self.simulation.clock():.4f} s"
            )

    def check_fence(self, claim: Claim) -> None:
        """Whoever comes to hold a lock has a greater fence than everyone before."""
        fence = claim.fence + claim.handed
        if fence <= self.fences.get(claim.name, 0):
            raise Violation(
                f"{claim.owner} holds {claim.name!r} with fence {fence} after {self.fences[claim.name]}"
            )
        self.fences[claim.name] = fence

    def check_grant(self, name: str, owner: str) -> None:
        """A grant is to someone who asks for it, and to nobody beside another."""
        if self.orderly and owner in self.through:
            raise Violation(f"lock {name!r} is granted to {owner}, who is through")
        self.check_sole_holder(name)

    def check_left(self, name: str, owner: str, why: str) -> None:
        """The store holds nothing for an owner that is through, unless its own request comes late."""
        self.through.add(owner)
        holders = self.store.status(self.whole(name)).holders
        if self.orderly and owner in [holder.owner for holder in holders]:
            raise Violation(f"lock {name!r} is still held by {owner} after {why}")

    def check(self) -> None:
        """In the end every lock can be had."""
        simulation, fences = self.simulation, dict[str, int]()

        def audit(process: Process) -> Effects[None]:
            for name in LOCKS:
                granted = yield from acquire(
                    self.store, self.whole(name), process.name, TTL, PATIENCE, simulation.random.random
                )
                if granted is not None:
                    fences[name] = granted.claim.fence

        simulation.spawn("auditor", audit)
        simulation.run()
        for name in set(LOCKS) - fences.keys():
            raise Violation(
                f"lock {name!r} cannot be had in the end: {self.store.status(self.whole(name)).holders} have it"
            )


class Client:
    """One client process in one incarnation: its leases die with it."""

    def __init__(self, scene: Locks, process: Process) -> None:
        self.scene = scene
        self.process = process
        self.random = scene.simulation.random
        self.table = Leases()
        self.done = False

    def held(self, name: str) -> list[Claim]:
        """The leases on the lock `name` that this client knows of."""
        return [claim for claim in self.table.leases() if claim.name == name]

    def believes(self, claim: Claim) -> float:
        """For how many seconds more this client will believe in a lease."""
        return self.table.deadline(claim) - self.process.clock()

    def keep(self, _: Process) -> Effects[None]:
        """Renew the leases that are due, and drop the lost ones."""
        while not self.done:
            lost = yield from renewal.renew_due(self.scene.store, self.table)
            self.scene.simulation.counts["lost"] += len(lost)
            for claim in self.table.leases():
                self.scene.check_sole_holder(claim.name)
            wait = self.table.next_due() - self.process.clock()
            yield Sleep(min(max(wait, 0.001), TTL / 3))

    def work(self, worker: str = "") -> Effects[None]:
        """Take a lock, use it, give it back; some rounds of it."""
        for number in range(ROUNDS):
            name = self.random.choice(LOCKS)
            owner = f"{self.process.name}.{self.process.incarnation}{worker}.{number}"
            granted = yield from self.get(name, owner)
            if granted is not None:
                yield from self.use(granted.claim)
                yield from self.give_back(granted)
            yield Sleep(self.random.uniform(0.0, TTL / 3))
        self.done = True

    def get(self, name: str, owner: str) -> Effects[Granted | None]:
        """Acquire the lock, and keep its lease; None if that was not to be."""
        try:
            granted = yield from self.acquiring(name, owner)
        except (OutcomeUnknown, StoreTimeout):
            granted = None
        if granted is None:
            self.scene.check_left(name, owner, "its acquire ended without a lease")
            return None
        renewal.keep(self.table, granted, renew=self.random.random() < 0.7)
        self.scene.simulation.counts["acquired"] += 1
        self.scene.check_sole_holder(name)
        if self.believes(granted.claim) > self.scene.tolerance:
            self.scene.check_fence(granted.claim)
        return granted

    def acquiring(self, name: str, owner: str) -> Effects[Granted | None]:
        """How a lock is taken."""
        return acquire(self.scene.store, name, owner, TTL, TIMEOUT, self.random.random)

    def releasing(self, claim: Claim, deadline: float) -> Effects[bool]:
        """How a lock is given back."""
        return release(self.scene.store, claim, deadline)

    def use(self, claim: Claim) -> Effects[None]:
        """Write some times while the lease lasts."""
        resource = self.scene.resources[claim.name]
        for _ in range(WRITES):
            if self.believes(claim) <= 0:
                return
            try:
                if self.random.random() < 0.2:
                    yield from renewal.extend(self.scene.store, self.table, claim, TTL * LONGER, renew=True)
                    self.scene.check_sole_holder(claim.name)
                yield Call(resource, "write", (claim.fence + claim.handed, claim.owner))
            except (OutcomeUnknown, StoreTimeout):
                pass
            except FenceRejected:
                self.scene.simulation.counts["rejected"] += 1
                return
            yield Sleep(self.random.uniform(0.0, TTL / 2))

    def give_back(self, granted: Granted) -> Effects[None]:
        """Release the lease if it is not lost."""
        claim = granted.claim
        deadline = self.table.deadline(claim)
        if not self.table.discard(claim):
            return
        try:
            yield from self.releasing(claim, deadline)
        except StoreError:
            return
        self.scene.check_left(claim.name, claim.owner, "its release was answered")


class Resource:
    """Data behind a guard: it compares the fence and writes in one step."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.marks = FenceMarks()
        self.written = 0

    def write(self, fence: int, value: str) -> None:
        """Write unless a newer holder has written."""
        if not self.marks.admit(self.name, fence):
            raise FenceRejected(self.name, fence, self.marks.mark(self.name))
        if fence < self.written:
            raise Violation(f"{value} wrote to {self.name!r} with fence {fence} after fence {self.written}")
        self.written = fence
