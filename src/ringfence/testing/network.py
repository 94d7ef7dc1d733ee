"""How requests travel between the processes of a simulation and the stores they ask.

A request takes a short random time, is carried out in one instant at its target, and its reply takes a short
random time back. A fault changes that journey, never the instant itself: stores are atomic, networks are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

from ringfence.errors import OutcomeUnknown, StoreTimeout
from ringfence.protocol import Call

if TYPE_CHECKING:
    from ringfence.testing.simulator import Process, Simulation

LATENCY = 0.002
"""Mean seconds a message travels."""

PATIENCE = 0.05
"""Seconds after which a sender gives up on a reply."""

LATE = 1.0
"""Most seconds that a delayed or doubled request is late; longer than the leases of the workloads."""

LONGEST_CUT = 1.0
"""Most seconds that a process is cut off from a target."""

Answer = Callable[[Any], None]
"""Called once with the result of a request, or with the exception that stands for it."""


class Later:
    """An answer that comes by itself, some time after what was asked for is done.

    Args:
        promise: called with the one to answer.
    """

    def __init__(self, promise: Callable[[Answer], None]) -> None:
        self.promise = promise


class Violation(AssertionError):
    """An oracle saw what must never happen. It ends the simulation, and is never thrown into a process."""


@dataclass(frozen=True, slots=True)
class Route:
    """How a request travels.

    Attributes:
        lossy: it can be lost, or its reply can.
        repeatable: it can be doubled, or arrive after its sender gave up. Not so for a statement on an open
            connection: when the connection ends, so does all that was sent on it.
    """

    lossy: bool = True
    repeatable: bool = True


ANYTHING = Route()
"""Every fault can strike."""

CONNECTED = Route(repeatable=False)
"""On an open connection: it can be lost, and then the connection is."""

RELIABLE = Route(lossy=False, repeatable=False)
"""It takes its time, and arrives."""

LOCAL = Route(lossy=False, repeatable=False)
"""It does not travel at all, but takes some time: what is done and what is answered is one event."""


class Network:
    """Carries requests, and what goes wrong with them.

    Args:
        simulation: whose events, randomness and fault rates these are.
        routes: how each request travels.
    """

    def __init__(self, simulation: Simulation, routes: Callable[[Call], Route]) -> None:
        self._simulation = simulation
        self.routes = routes
        self._cuts: dict[tuple[str, int], float] = {}

    def push(self, arrive: Callable[[], None]) -> None:
        """Let a message travel that nobody asked for; it may be lost, late, or come twice."""
        fate = self._fate(ANYTHING)
        self._simulation.note("push " + fate, "")
        if fate in ("deliver", "double"):
            self._simulation.after(self._latency(), arrive)
        if fate in ("delay", "double"):
            self._simulation.after(self._late(), arrive)

    def heal(self) -> None:
        """Mend all links that are cut."""
        self._cuts.clear()

    def send(self, sender: Process, call: Call, answer: Answer) -> None:
        """Let `call` travel, and `answer` be called once."""
        route = RELIABLE if sender.spared else self.routes(call)
        if route is LOCAL:
            self._simulation.after(self._latency(), self._do, sender.name, call, answer)
            return
        fate = self._fate(route)
        if fate == "cut" or self._cuts:
            fate = self._through(fate, (sender.name, id(call.target)), route)
        self._simulation.note(fate, sender.name, call)
        getattr(self, "_" + fate)(sender.name, call, answer)

    def _fate(self, route: Route) -> str:
        faults, drawn = self._simulation.faults, self._simulation.random.random()
        if drawn >= faults.messages:
            return "deliver"
        for fate, chance, possible in (
            ("lose_request", faults.lose_request, route.lossy),
            ("lose_reply", faults.lose_reply, route.lossy),
            ("double", faults.double, route.repeatable),
            ("delay", faults.delay, route.repeatable),
            ("cut", faults.cut, route.lossy),
        ):
            if drawn < chance:
                return fate if possible else "deliver"
            drawn -= chance
        return "deliver"

    def _is_cut(self, link: tuple[str, int]) -> bool:
        return self._cuts.get(link, 0.0) > self._simulation.clock()

    def _through(self, fate: str, link: tuple[str, int], route: Route) -> str:
        """What happens on a link that is cut, or is being cut: what is sent is lost one way or the other."""
        simulation = self._simulation
        if not self._is_cut(link):
            if fate != "cut":
                return fate
            self._cuts[link] = simulation.clock() + simulation.random.uniform(0.0, LONGEST_CUT)
            simulation.note("cut", link[0])
        elif not route.lossy:
            return fate
        return simulation.random.choice(("lose_request", "lose_reply", "delay")[: 2 + route.repeatable])

    def _deliver(self, sender: str, call: Call, answer: Answer) -> None:
        self._simulation.after(self._latency(), self._arrive, sender, call, answer)

    def _lose_request(self, _: str, call: Call, answer: Answer) -> None:
        told = self._simulation.random.choice((OutcomeUnknown, StoreTimeout))
        self._simulation.after(PATIENCE, answer, told(f"{call.operation}: no answer"))

    def _lose_reply(self, sender: str, call: Call, answer: Answer) -> None:
        self._simulation.after(self._latency(), self._arrive, sender, call, _nobody)
        self._simulation.after(PATIENCE, answer, OutcomeUnknown(f"{call.operation}: no answer"))

    def _double(self, sender: str, call: Call, answer: Answer) -> None:
        self._deliver(sender, call, answer)
        self._simulation.after(self._late(), self._arrive, sender, call, _nobody)

    def _delay(self, sender: str, call: Call, answer: Answer) -> None:
        first = _Once(answer)
        self._simulation.after(self._late(), self._arrive, sender, call, first)
        self._simulation.after(PATIENCE, first, OutcomeUnknown(f"{call.operation}: no answer"))

    def _do(self, sender: str, call: Call, answer: Answer) -> None:
        result = carry_out(call)
        self._simulation.note("done", sender, call, result)
        if isinstance(result, Later):
            result.promise(answer)
        else:
            answer(result)

    def _arrive(self, sender: str, call: Call, answer: Answer) -> None:
        result = carry_out(call)
        self._simulation.note("carried out", sender, call, result)
        if answer is not _nobody:
            self._simulation.after(self._latency(), answer, result)

    def _latency(self) -> float:
        return -log(1.0 - self._simulation.random.random()) * LATENCY  # exponentially distributed

    def _late(self) -> float:
        return self._simulation.random.random() ** 2 * LATE


def carry_out(call: Call) -> Any:
    """Perform a request now; an exception stands for its failure."""
    try:
        return getattr(call.target, call.operation)(*call.args)
    except Violation:
        raise
    except Exception as error:
        return error


class _Once:
    """Passes on the first answer only: a reply, or the sender's giving up on it."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Answer) -> None:
        self._answer: Answer | None = answer

    def __call__(self, result: Any) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer(result)


def _nobody(result: Any) -> None:
    """Whoever asked has given up listening."""
