"""A cluster whose keys move to new rings while clients put, get and delete, and everything crashes.

Each key has one writer, which counts its versions up; so a reader can tell an old value from a new one.

Oracles:
    - a read gives the last acknowledged version or a later one, and never an older one than was read before;
    - what was reported as "nothing happened" is never seen;
    - two keys that are always written in one transaction are always read alike;
    - a key that is there all the time is in every list of keys;
    - the fence on a shard never goes back, so a rebalancer that lost its lease does not work beside the next one;
    - in the end every key is on the shard that the ring names, and on no other, in its last version.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import Any

from ringfence.cluster.rebalance import COORDINATOR, Mover, Rebalance, rebalance
from ringfence.cluster.shards.memory import STATE, MemoryShard
from ringfence.cluster.state import RingState
from ringfence.cluster.view import View, refresh
from ringfence.errors import LeaseLost, StaleRing, StoreError
from ringfence.locks import rules
from ringfence.locks.acquire import Granted, acquire, release
from ringfence.locks.stores.memory import MemoryStore
from ringfence.placement import HashRing
from ringfence.protocol import Call, Effects, Sleep
from ringfence.testing.network import ANYTHING, CONNECTED, LOCAL, Route, Violation
from ringfence.testing.simulator import OUTAGE, Process, Simulation
from ringfence.testing.workloads.cluster_client import FAILURES, KEYS, Client, Versions, pair_of
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.participants.memory import MemoryParticipant

FIRST = HashRing(["b", "c", "d"], vnodes=4)
SECOND = FIRST.with_node("a")
THIRD = SECOND.without_node("d")
SHARDS = ("a", "b", "c", "d")

CLIENTS = 2
STEPS = 8
ATTEMPTS = 15
"""How often a rebalancer tries, before it leaves the work to others."""

TIMEOUT = 0.15
TTL = 0.5
LOCK = "rebalance"

LATE_DISCONNECT = OUTAGE[0]
"""Seconds until a shard has surely noticed that a process died."""

VOTES = {"prepare", "commit", "one_phase", "rollback", "recover", "settle", "put_if_absent", "put_many"}
REPEATED = VOTES | {"grant", "release", "withdraw"}
"""What may be asked twice, and late."""


class Cluster:
    """The scene: shards, clients with keys of their own, and rebalancers."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.random = simulation.random
        self.decisions = MemoryDecisions()
        self.locks = MemoryStore(simulation.clock, lambda: 1_767_225_600.0 + simulation.clock())
        self.participants = {name: WatchedShard(name) for name in SHARDS}
        self.shards = {name: MemoryShard(name, self.participants[name]) for name in SHARDS}
        self.versions = {key: Versions() for number in range(CLIENTS) for key in keys_of(number)}
        self.coordinators: dict[str, ConnectedCoordinator] = {}
        self.name_everything()
        simulation.network.routes = route
        simulation.on_crash.append(self.disconnect_later)
        self.blind = self.random.random() < 0.5
        self.fill()
        for number in range(CLIENTS):
            simulation.spawn(f"client-{number}", self.work, self.work)
        for number in range(2):
            simulation.spawn(f"rebalancer-{number}", self.rebalance, self.rebalance)

    def name_everything(self) -> None:
        """Give the stores their names in traces."""
        self.simulation.name(self.decisions, "decisions")
        self.simulation.name(self.locks, "locks")
        for name in SHARDS:
            self.simulation.name(self.participants[name], name)
            self.simulation.name(self.shards[name], name)

    def fill(self) -> None:
        """Give the shards of the first ring that ring, and the first version of every key."""
        for name in FIRST.nodes:
            with self.participants[name].alone() as branch:
                branch.put(STATE, RingState(FIRST))
        for key, versions in self.versions.items():
            value = "v1"
            versions.known = versions.new(value)
            self.shards[FIRST.lookup(key)].write(key, value, FIRST.epoch)

    def view(self, process: Process, coordinator_name: str) -> View:
        """The cluster as a process sees it that was just started."""
        coordinator = ConnectedCoordinator(self, coordinator_name)
        self.coordinators[process.name] = coordinator
        view = View(self.shards, coordinator, TIMEOUT, RingState(FIRST), self.random)
        self.simulation.name(view, coordinator_name)
        return view

    def disconnect(self, gids: Iterable[str]) -> None:
        """Close the connections of transactions that are over: what was not prepared is lost."""
        for participant in self.participants.values():
            participant.disconnect(gids)

    def disconnect_later(self, process: Process) -> None:
        """Let the shards notice that a process is dead, at once or after a while."""
        coordinator = self.coordinators.pop(process.name, None)
        if coordinator is not None:
            for late in (self.random.choice((0.0, LATE_DISCONNECT / 2)), LATE_DISCONNECT):
                self.simulation.after(late, self.disconnect, sorted(coordinator.running))

    def work(self, process: Process) -> Effects[None]:
        """What a client does, from its start and from each restart."""
        client = self.client(process, process.name)
        yield from client.settle()
        yield from client.open()
        for _ in range(STEPS):
            yield from client.step()
            yield Sleep(self.random.uniform(0.0, 0.05))

    def client(self, process: Process, name: str) -> Client:
        """A client whose transactions go by `name`, in a process that was just started."""
        number = int(name.rpartition("-")[2])
        return Client(self.simulation, number, self.view(process, name), self.versions)

    def rebalance(self, process: Process) -> Effects[None]:
        """Move the keys to the second ring, then to the third."""
        yield Sleep(self.random.uniform(0.0, 0.3))
        for ring in (SECOND, THIRD):
            for _ in range(ATTEMPTS):
                if (yield from self.try_to_rebalance(process, ring)):
                    break
                yield Sleep(self.random.uniform(0.0, 0.2))
            yield Sleep(self.random.uniform(0.0, 0.3))

    def try_to_rebalance(self, process: Process, ring: HashRing) -> Effects[bool]:
        """Take the lock, settle what others left, move; has the cluster got this ring, or a newer one?"""
        owner = f"{process.name} {self.simulation.clock()}"
        try:
            granted = yield from acquire(self.locks, LOCK, owner, TTL, 0.0)
            if granted is None:
                return False
            done = yield from self.rebalance_under(
                Lease(granted, process, self.blind), self.view(process, COORDINATOR), ring
            )
            yield from release(self.locks, granted.claim, granted.deadline)
        except StoreError:
            return False
        return done

    def rebalance_under(self, lease: Lease, view: View, ring: HashRing) -> Effects[bool]:
        """Settle and move; was it done, now or before?"""
        try:
            yield from view.coordinator.recover()
            report = yield from rebalance(Mover(view, lease, ignore), ring)
        except StaleRing:
            return True
        except FAILURES as error:
            self.simulation.counts[type(error).__name__] += 1
            return False
        self.simulation.counts["moved"] += report.keys
        return True

    def check(self) -> None:
        """Let everyone settle, finish the migration, and look where the keys are."""
        self.simulation.spawn("auditor", self.audit)
        self.simulation.run()
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name, participant in self.participants.items():
            if participant.recover():
                raise Violation(f"shard {name} has branches in doubt in the end: {participant.recover()}")
            for _, key in participant.snapshot().keys() - {STATE}:
                found[key].append(name)
        for key, where in sorted(found.items()):
            if where != [THIRD.lookup(key)]:
                raise Violation(f"key {key!r} is on {where} in the end, not on {THIRD.lookup(key)!r}")

    def audit(self, process: Process) -> Effects[None]:
        """Settle, finish the migration, read every key."""
        clients = [self.client(process, f"client-{number}") for number in range(CLIENTS)]
        for client in clients:
            yield from client.settle()
        for _ in range(ATTEMPTS):
            if (yield from self.try_to_rebalance(process, THIRD)):
                break
            yield Sleep(TTL)
        else:
            raise Violation("the migration cannot be brought to its end")
        for client in clients:
            yield from refresh(client.view)
            yield from client.get_pair(f"{client.number}:")
        for key in self.versions:
            yield from client.get(key)


class ConnectedCoordinator(Coordinator):
    """A coordinator whose connections are closed at the end of each transaction."""

    def __init__(self, scene: Cluster, name: str) -> None:
        super().__init__(name, scene.decisions, scene.participants)
        self._scene = scene

    def end(self, gid: str) -> None:
        """The transaction is over here."""
        super().end(gid)
        self._scene.disconnect([gid])


class WatchedShard(MemoryParticipant):
    """What a shard keeps, and what must be true of its state row."""

    def __init__(self, name: str) -> None:
        super().__init__(timeout=0.0)
        self._name = name

    def _apply(self, changes: dict[Any, Any]) -> None:
        before, after = self._data.get(STATE), changes.get(STATE)
        if before is not None and after is not None and after.fence < before.fence:
            raise Violation(f"the fence on shard {self._name} goes back from {before.fence} to {after.fence}")
        super()._apply(changes)


class Lease:
    """The rebalance lock as a rebalancer holds it; nobody renews it.

    A blind rebalancer does not notice that it is over: as if it had been paused each time just after it looked.
    """

    def __init__(self, granted: Granted, process: Process, blind: bool) -> None:
        self._blind = blind
        self.fence = granted.claim.fence
        self._deadline = granted.deadline
        self._process = process

    def check(self) -> None:
        """Raise `LeaseLost` when it is over."""
        if not self._blind and rules.is_over(self._deadline, self._process.clock()):
            raise LeaseLost(LOCK, self.fence)


def keys_of(number: int) -> list[str]:
    """The keys that a client writes: all but one of them move."""
    singles = (f"{number}:{index}" for index in range(1000))
    moving = (key for key in singles if len({FIRST[key], SECOND[key], THIRD[key]}) > 1)
    return [*islice(moving, KEYS - 1), f"{number}:stays", *pair_of(f"{number}:")]


def route(call: Call) -> Route:
    """Statements are lost with their connection; what the protocols repeat can be doubled and late."""
    if call.operation in REPEATED:
        return ANYTHING
    if isinstance(call.target, MemoryShard) and call.operation != "join":
        return CONNECTED
    return LOCAL


def ignore(_: Rebalance) -> None:
    """Nobody watches the progress."""
