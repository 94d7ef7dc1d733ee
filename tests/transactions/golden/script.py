"""Schedules that follow a script: nothing is left to chance, and what happens is told line by line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from ringfence.errors import OutcomeUnknown
from ringfence.protocol import Call, Effects, Sleep
from ringfence.testing.faults import CALM
from ringfence.testing.network import ANYTHING, PATIENCE, Answer, Network
from ringfence.testing.simulator import Process, Simulation
from ringfence.testing.workloads.bank import LATE_DISCONNECT, Bank, add, opened
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.outcome import Outcome

LATENCY = 0.001


class Incident(NamedTuple):
    """What goes wrong with a request.

    Attributes:
        who: sends it.
        operation: what is asked.
        nth: the first, the second ... request for that by that process.
        what: "crash before", "crash after", "pause before", "lose_request", "lose_reply", or "late".
        seconds: of a pause, or until what is late arrives.
    """

    who: str
    operation: str
    nth: int
    what: str
    seconds: float = 0.0


class ScriptedNetwork(Network):
    """Carries every message in the same time, but for the incidents of the script."""

    def __init__(self, simulation: Simulation, incidents: Sequence[Incident]) -> None:
        super().__init__(simulation, lambda _: ANYTHING)
        self.incidents = {(each.who, each.operation, each.nth): each for each in incidents}
        self._asked: Counter[tuple[str, str]] = Counter()

    def send(self, sender: Process, call: Call, answer: Answer) -> None:
        """Let a request travel, unless the script has something else in mind."""
        key = sender.name, call.operation
        self._asked[key] += 1
        incident = self.incidents.pop((*key, self._asked[key]), None)
        if incident is None:
            self._deliver(sender.name, call, answer)
        else:
            self._befall(incident, sender, call, answer)

    def _befall(self, incident: Incident, sender: Process, call: Call, answer: Answer) -> None:
        after, deliver = self._simulation.after, partial(self._deliver, sender.name, call)
        if incident.what == "crash before":
            self._simulation.crash(sender)
        elif incident.what == "crash after":
            deliver(lambda _: None)
            after(1.5 * LATENCY, self._simulation.crash, sender)
        elif incident.what == "pause before":
            self._simulation.pause(sender, incident.seconds)
            after(incident.seconds, deliver, answer)
        elif incident.what == "late":
            self._simulation.note("late", sender.name, call)
            after(incident.seconds, self._arrive, sender.name, call, lambda _: None)
            after(PATIENCE, answer, OutcomeUnknown("no answer"))
        else:
            self._simulation.note(incident.what, sender.name, call)
            getattr(self, "_" + incident.what)(sender.name, call, answer)

    def _latency(self) -> float:
        return LATENCY


class Scripted(Bank):
    """A coordinator `main` that runs one transfer, and others that recover in its name; with the oracles of a bank.

    Args:
        incidents: what goes wrong.
        recoveries: process and second of each recovery.
        marker: the decisions are in the database of `east`.
        work: what `main` adds to the accounts; nothing where it only reads.
    """

    def __init__(
        self,
        incidents: Sequence[Incident],
        recoveries: Sequence[tuple[str, float]],
        marker: bool,
        work: dict[str, int],
    ) -> None:
        self.lines: list[str] = []
        simulation = Simulation("golden", CALM, calm_at=1e6, trace=self.tell)
        super().__init__(simulation)
        simulation.network = self.network = ScriptedNetwork(simulation, incidents)
        self.share_store("main")
        simulation.name(self.decisions["main"], "decisions")
        if marker:
            self.participants["east"] = opened(self.decisions["main"])
            simulation.name(self.participants["east"], "east")
        self.work = work
        simulation.spawn("main", self.run_transfer)
        for name, when in recoveries:
            simulation.spawn(name, self.take_over, delay=when)

    def play(self) -> str:
        """Play it, hold it against the oracles, and return its trace."""
        self.simulation.run()
        told = self.lines[:]
        assert not self.network.incidents, "everything in the script happens"
        self.check()
        self.simulation.close()
        return "".join(f"{line}\n" for line in told)

    def tell(self, line: str) -> None:
        """Keep a line of the trace, without what says nothing."""
        _, who, what = line.split(maxsplit=2)
        if not re.search(r"(carried_by|\.epoch)\(", what):
            self.lines.append(f"{who:<6} {shown(what)}")

    def say(self, who: str, what: object) -> None:
        """Keep a line about what a process knows."""
        self.lines.append(f"{who:<6} {what}")

    def run_transfer(self, process: Process) -> Effects[None]:
        """One transfer; when it is in doubt, recover."""
        coordinator = yield from self.start("main")
        gid = coordinator.begin()
        self.open[gid] = process.name
        branches = yield from self.enlist(gid, list(self.work))
        self.intended[gid] = sorted(name for name, amount in self.work.items() if amount)
        for name in self.intended[gid]:
            add(branches[name], 0, self.work[name], gid)
        outcome = yield from self.commit(coordinator, gid, branches)
        self.say("main", f"is told: {outcome}")
        self.report(gid, outcome)
        self.disconnect(gid)
        if outcome is Outcome.IN_DOUBT:
            yield from self.recover_as(process, coordinator, None)

    def disconnect_later(self, process: Process) -> None:
        """Let the participants notice after a while that a process is dead."""
        for gid in [gid for gid, name in self.open.items() if name == process.name]:
            self.simulation.after(LATE_DISCONNECT, self.disconnect, gid)

    def take_over(self, process: Process) -> Effects[None]:
        """Recover in the name of `main`."""
        yield Sleep(0.0)
        coordinator = Coordinator(process.name, self.decisions["main"], self.participants)
        yield from self.recover_as(process, coordinator, "main")

    def recover_as(self, process: Process, coordinator: Coordinator, name: str | None) -> Effects[None]:
        """Recover, and say what was done."""
        report = yield from self.recover(coordinator, name)
        self.say(process.name, f"recovered: {str(report).splitlines()[0]}")


def shown(text: str) -> str:
    """A line without what only a program needs."""
    text = re.sub(r"^carried out +", "", text)
    text = re.sub(r"<(?:Outcome|Vote)\.\w+: '([\w ]+)'>", r"\1", text)
    text = re.sub(r"<[\w.]+Branch object>", "a branch", text)
    return re.sub(r" {2,}", "  ", text.removesuffix(" -> None"))


Play = Callable[[], str]


def scripted(
    *incidents: Incident,
    recoveries: Sequence[tuple[str, float]] = (),
    marker: bool = False,
    work: dict[str, int] | None = None,
) -> Play:
    """A schedule, ready to be played."""
    moved = {"east": -10, "west": 10} if work is None else work
    return lambda: Scripted(incidents, recoveries, marker, moved).play()
