"""A bank over several participants: what the workloads of transactions share, and their oracles.

Oracles:
    - money is conserved, in the end and in every transaction that reads all of it;
    - a transfer is done on all its participants or on none, as its decision says;
    - acknowledged means committed, reported as aborted means not committed, whoever is asked, whenever;
    - nobody aborts the transaction of a live coordinator that nothing went wrong with;
    - a coordinator that another one took over from commits nothing any more;
    - in the end recovery leaves no branch in doubt, and a second recovery has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ringfence.errors import Aborted, InDoubt, StoreError
from ringfence.protocol import Call, Effects, Sleep
from ringfence.testing.disk import DiskDecisions
from ringfence.testing.network import ANYTHING, RELIABLE, Route, Violation
from ringfence.testing.simulator import OUTAGE, Process, Simulation
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants.memory import MemoryBranch, MemoryParticipant
from ringfence.transactions.recovery import Recovery
from ringfence.transactions.two_phase import Enlisted

PARTICIPANTS = ("east", "north", "west")
ACCOUNTS = 2
MONEY = 100
TOTAL = len(PARTICIPANTS) * ACCOUNTS * MONEY
LATE_DISCONNECT = OUTAGE[0]
"""Seconds until a participant has surely noticed that a process died."""


class Bank:
    """The scene: participants with accounts, decision stores, and what was reported of each transfer."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.random = simulation.random
        self.participants = {name: opened() for name in PARTICIPANTS}
        self.decisions: dict[str, WatchedDecisions] = {}
        self.spared: set[str] = set()  # coordinators that nothing goes wrong with
        self.reported: dict[str, Outcome] = {}
        self.intended: dict[str, list[str]] = {}
        self.open: dict[str, str] = {}
        self.fsync_fails = 0.0
        simulation.network.routes = route
        simulation.on_crash.append(self.disconnect_later)
        for name, participant in self.participants.items():
            simulation.name(participant, name)

    def share_store(self, *names: str) -> None:
        """Give the coordinators `names` a decision store."""
        store = WatchedDecisions(self)
        self.simulation.name(store, f"decisions of {' and '.join(names)}")
        self.decisions.update(dict.fromkeys(names, store))

    def start(self, name: str) -> Effects[Coordinator]:
        """A coordinator of that name, started once more."""
        coordinator = Coordinator(name, self.decisions[name], self.participants)
        while not coordinator.epoch:
            try:
                yield from coordinator.start()
            except StoreError:
                yield Sleep(0.01)
        return coordinator

    def recover(self, coordinator: Coordinator, name: str | None = None) -> Effects[Recovery]:
        """Recover what earlier starts of a coordinator left behind."""
        report = yield from coordinator.recover(name)
        self.simulation.counts["recovered"] += len(report)
        return report

    def transfer(self, coordinator: Coordinator, process: Process) -> Effects[str]:
        """Move money between some participants, or look at all of it; return the gid."""
        gid = coordinator.begin()
        self.open[gid] = process.name
        names = self.random.sample(PARTICIPANTS, self.random.choice((1, 2, 2, 2, 3)))
        branches = yield from self.enlist(gid, names)
        if len(branches) == len(names):
            total = self.move(gid, branches)
            outcome = yield from self.commit(coordinator, gid, branches)
            if total is not None and outcome is Outcome.COMMITTED and total != TOTAL:
                raise Violation(f"{gid} saw {total} of money, not {TOTAL}")
        else:
            yield from coordinator.roll_back(gid, self.enlisted(branches))
            outcome = Outcome.ABORTED
        self.disconnect(gid)
        self.report(gid, outcome)
        return gid

    def enlist(self, gid: str, names: Sequence[str]) -> Effects[dict[str, MemoryBranch]]:
        """Begin branches on `names`, up to the first that stays busy."""
        branches: dict[str, MemoryBranch] = {}
        for name in names:
            for _ in range(6):
                try:
                    branches[name] = yield Call(self.participants[name], "begin", (gid,))
                    break
                except (StoreError, InDoubt):
                    yield Sleep(self.random.uniform(0.0, 0.03))
            else:
                break
        return branches

    def move(self, gid: str, branches: dict[str, MemoryBranch]) -> int | None:
        """Move money, or return all the money there is where every participant is at hand and none writes."""
        if len(branches) == len(PARTICIPANTS) and self.random.random() < 0.5:
            return total_of(branch.get for branch in branches.values())
        source, *targets = branches
        if len(targets) > 1 and self.random.random() < 0.5:
            branches[targets.pop()].get(("account", 0))
        self.intended[gid] = sorted({source, *targets})
        amount = self.random.randint(1, 9)
        for target in targets or [source]:
            add(branches[source], 0, -amount, gid)
            self.deposit(branches[target], amount, gid)
        return None

    def deposit(self, target: MemoryBranch, amount: int, gid: str) -> None:
        """Add to an account; sometimes that fails, and the application does not care."""
        if self.random.random() < 0.1:
            target.fail("the account is closed")
        else:
            add(target, 1, amount, gid)

    def commit(
        self, coordinator: Coordinator, gid: str, branches: dict[str, MemoryBranch]
    ) -> Effects[Outcome]:
        """Commit, and say what its coordinator was told."""
        try:
            yield from coordinator.commit(gid, self.enlisted(branches))
        except Aborted:
            return Outcome.ABORTED
        except InDoubt:
            return Outcome.IN_DOUBT
        return Outcome.COMMITTED

    def enlisted(self, branches: dict[str, MemoryBranch]) -> list[Enlisted]:
        """The branches as the protocol sees them."""
        return [Enlisted(name, self.participants[name], branch.wrote) for name, branch in branches.items()]

    def ask(self, coordinator: Coordinator, gid: str) -> Effects[None]:
        """Ask what became of a transfer; the answer counts as reported."""
        try:
            answer = yield from coordinator.outcome(gid)
        except (InDoubt, StoreError):
            return
        self.report(gid, answer)

    def report(self, gid: str, outcome: Outcome) -> None:
        """Somebody was told that this became of the transfer; it must not be told otherwise.

        Of a transaction that only read, no trace is left: committed or aborted, it is the same.
        """
        self.simulation.counts[outcome.value] += 1
        if outcome is Outcome.IN_DOUBT or gid not in self.intended:
            return
        before = self.reported.setdefault(gid, outcome)
        if before is not outcome:
            raise Violation(f"{gid} was reported {before}, and then {outcome}")

    def disconnect(self, gid: str) -> None:
        """Close the connections that a transaction used: what was not prepared is lost."""
        self.open.pop(gid, None)
        for participant in self.participants.values():
            participant.disconnect([gid])

    def disconnect_later(self, process: Process) -> None:
        """Let the participants notice that a process is dead, at once or after a while."""
        gids = [gid for gid, name in self.open.items() if name == process.name]
        for late in (self.random.choice((0.0, LATE_DISCONNECT / 2)), LATE_DISCONNECT):
            for gid in gids:
                self.simulation.after(late, self.disconnect, gid)

    def check(self) -> None:
        """Recover everything, and look at the accounts."""
        self.fsync_fails = 0.0
        for store in self.decisions.values():
            store.restart()
        self.simulation.spawn("auditor", self.audit)
        self.simulation.run()
        data = {name: participant.snapshot() for name, participant in self.participants.items()}
        total = total_of(pairs.get for pairs in data.values())
        if total != TOTAL:
            raise Violation(f"there is {total} of money in the end, not {TOTAL}")
        for gid in sorted(self.reported.keys() | self.intended.keys()):
            self.check_transfer(gid, [name for name, pairs in data.items() if ("done", gid) in pairs])

    def audit(self, _: Process) -> Effects[None]:
        """Take over from every coordinator, and recover twice."""
        for name in self.decisions:
            coordinator = yield from self.start(name)
            first = yield from self.recover(coordinator)
            second = yield from self.recover(coordinator)
            if first.unresolved or len(second) or second.unresolved:
                raise Violation(f"recovery of {name} left something to do: {first}; then {second}")
        for name, participant in self.participants.items():
            if participant.recover():
                raise Violation(f"{name} has branches in doubt in the end: {participant.recover()}")

    def check_transfer(self, gid: str, where: list[str]) -> None:
        """One transfer is everywhere or nowhere, and where its coordinator was told."""
        intended, reported = self.intended.get(gid, []), self.reported.get(gid)
        if where not in ([], intended):
            raise Violation(f"{gid} is done on {where}, not on {intended}")
        if reported is Outcome.COMMITTED and where != intended:
            raise Violation(f"{gid} was reported committed, and is done nowhere")
        if reported is Outcome.ABORTED and where:
            raise Violation(f"{gid} was reported aborted, and is done on {where}")


class WatchedDecisions(DiskDecisions):
    """A decision store, and what must be true of every decision."""

    def __init__(self, bank: Bank) -> None:
        random = bank.random
        super().__init__(self._fsync_fails, lambda: random.random() < 0.5)
        self._bank = bank

    def _fsync_fails(self) -> bool:
        fails = self._bank.random.random() < self._bank.fsync_fails
        self._bank.simulation.counts["fsync_failed"] += fails
        return fails

    def put_if_absent(self, gid: str, outcome: Outcome) -> Outcome:
        """Decide, and look at the decision."""
        new = self.get(gid) is None
        standing = super().put_if_absent(gid, outcome)
        name, epoch, _ = Gid.parse(gid)
        self._bank.simulation.counts["stale"] += new and standing is not outcome
        if new and standing is Outcome.ABORTED and name in self._bank.spared:
            raise Violation(f"{gid} was aborted, though its coordinator is alive and well")
        if new and standing is Outcome.COMMITTED and epoch != self.epoch(name):
            raise Violation(
                f"{gid} was committed after {name} had started again with epoch {self.epoch(name)}"
            )
        return standing


def route(call: Call) -> Route:
    """Everything can go wrong with everything, but for the opening of a connection."""
    return RELIABLE if call.operation == "begin" else ANYTHING


def opened(decisions: MemoryDecisions | None = None) -> MemoryParticipant:
    """A participant with money in its accounts, and maybe with the decisions."""
    participant = MemoryParticipant(timeout=0.0, decisions=decisions)
    branch = participant.begin("bank.1.1")
    for number in range(ACCOUNTS):
        branch.put(("account", number), MONEY)
    participant.one_phase("bank.1.1")
    return participant


def total_of(getters: Iterable[Callable[[Any], Any]]) -> int:
    """All the money there is."""
    return sum(get(("account", number)) for get in getters for number in range(ACCOUNTS))


def add(branch: MemoryBranch, account: int, amount: int, gid: str) -> None:
    """Change an account, and leave a trace of the transfer."""
    branch.put(("account", account), branch.get(("account", account)) + amount)
    branch.put(("done", gid), 1)
