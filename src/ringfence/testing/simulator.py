"""The third driver of the protocols: many processes, one simulated time, a seeded schedule of faults.

A *process* runs programs, which are generators of the effects of `ringfence.protocol`. What runs next is
the earliest event; when events happen is drawn from one `random.Random(seed)`, and so is every fault. No wall
clock, no hash order, no thread has a say, so the same seed gives the same run, step for step.

The style is that of FoundationDB's simulation and TigerBeetle's VOPR: workload x faults x seed.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Generator
from functools import partial
from random import Random
from typing import Any

from ringfence.protocol import Call, Effect, Effects, Now, Parallel, Sleep
from ringfence.testing.clock import FakeClock, SkewedClock
from ringfence.testing.faults import CALM, Faults
from ringfence.testing.network import ANYTHING, Network, Route, Violation

LONGEST_PAUSE = 1.5
"""Most seconds a process is paused; longer than the leases of the workloads."""

OUTAGE = (0.05, 0.8)
"""Seconds between a crash and the restart; what a process sent just before its end has arrived by then."""

ENDLESS = 20_000
"""A schedule with more events than this is not going to end."""


class Process:
    """One process of a simulation: programs that share a clock, are paused together and crash together.

    Attributes:
        name: for traces.
        clock: its own idea of the time.
        incarnation: how many times it was started again.
        crashed: it is not running now.
        spared: nothing goes wrong with it, nor with its requests.
    """

    def __init__(self, name: str, clock: SkewedClock, recovery: Program | None) -> None:
        self.name = name
        self.clock = clock
        self.recovery = recovery
        self.incarnation = 0
        self.crashed = False
        self.spared = False
        self.paused_until = 0.0


Program = Callable[[Process], Effects[Any]]
"""What a process runs: it is given its process and yields effects."""


class Task:
    """A program that a process is running, in one incarnation of that process."""

    __slots__ = ("incarnation", "process", "steps")

    def __init__(self, process: Process, steps: Effects[Any]) -> None:
        self.process = process
        self.incarnation = process.incarnation
        self.steps = steps

    @property
    def gone(self) -> bool:
        """Its process crashed; whatever still arrives for it falls on deaf ears."""
        return self.process.crashed or self.incarnation != self.process.incarnation


class Simulation:
    """A world of processes under one seeded schedule.

    Args:
        seed: decides everything.
        faults: rates and bounds of what goes wrong; drawn from the seed where not given.
        calm_at: simulated seconds after which nothing new goes wrong, so that the world can settle.
        routes: how each request travels; by default anything can happen to it.
        trace: called with a line about every step.

    Attributes:
        random: the one source of randomness.
        clock: the true time, in seconds; stores are given this one.
        faults: what goes wrong now.
        counts: how often each fault happened, by its name.
        on_crash: called with each process that crashes, at that instant.
        network: carries the requests.
    """

    def __init__(
        self,
        seed: int | str,
        faults: Faults | None = None,
        *,
        calm_at: float = 3.0,
        routes: Callable[[Call], Route] = lambda _: ANYTHING,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self.random = Random(seed)
        self.clock = FakeClock()
        self.faults = Faults.drawn(self.random) if faults is None else faults
        self.counts: Counter[str] = Counter()
        self.on_crash: list[Callable[[Process], None]] = []
        self.network = Network(self, routes)
        self._trace = trace
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._scheduled = 0
        self._tasks: list[Task] = []
        self._names: dict[int, tuple[Any, str]] = {}
        self.after(calm_at, self._calm)

    def name(self, target: Any, name: str) -> None:
        """Show `target` as `name` in traces."""
        self._names[id(target)] = target, name

    def spawn(
        self, name: str, program: Program, recovery: Program | None = None, delay: float = 0.0
    ) -> Process:
        """Start a process that runs `program`, and after a crash `recovery`, if it has one."""
        process = Process(name, self._skewed(), recovery)
        self.after(delay, self.start, process, program)
        return process

    def start(self, process: Process, program: Program) -> None:
        """Let `process` run another program beside those it runs."""
        task = Task(process, program(process))
        self._tasks.append(task)
        self._resume(task, None)

    def after(self, seconds: float, action: Callable[..., None], *args: Any) -> None:
        """Let `action(*args)` happen `seconds` of true time from now."""
        self._scheduled += 1
        heapq.heappush(self._events, (self.clock() + seconds, self._scheduled, action, args))

    def run(self) -> None:
        """Let everything happen that is going to.

        Raises:
            Violation: an oracle saw what must never happen, a program failed, or there is no end to it.
        """
        for _ in range(ENDLESS):
            if not self._events:
                return
            when, _, action, args = heapq.heappop(self._events)
            self.clock.advance_to(when)
            action(*args)
        raise Violation(f"no end after {ENDLESS} events, at {self.clock():.3f} s")

    def close(self) -> None:
        """Close the generators of crashed processes, now that nothing they do can matter any more."""
        for task in self._tasks:
            _close(task.steps)
        self._tasks.clear()

    def crash(self, process: Process) -> None:
        """Stop a process between two steps; none of its code runs any more, clean-up neither."""
        if process.crashed:
            return
        process.crashed = True
        self.note("crash", process.name)
        for told in self.on_crash:
            told(process)
        if process.recovery is not None:
            self.after(self.random.uniform(*OUTAGE), self._restart, process, process.recovery)

    def pause(self, process: Process, seconds: float) -> None:
        """Let a process stand still, as in a SIGSTOP or a long garbage collection; its clock runs on."""
        process.paused_until = max(process.paused_until, self.clock() + seconds)
        self.note("pause", process.name)

    def note(self, what: str, who: str, call: Call | None = None, result: Any = None) -> None:
        """Count a step, and keep a line about it when tracing."""
        self.counts[what] += 1
        if self._trace is not None:
            self._trace(self._line(what, who, call, result))

    def _calm(self) -> None:
        self.faults = CALM
        self.network.heal()

    def _skewed(self) -> SkewedClock:
        offset, drift, uniform = self.faults.offset, self.faults.drift, self.random.uniform
        clock = SkewedClock(self.clock, uniform(-offset, offset), uniform(-drift, drift))
        self.counts["skew"] += bool(offset)
        self.counts["drift"] += bool(drift)
        return clock

    def _restart(self, process: Process, recovery: Program) -> None:
        process.crashed = False
        process.paused_until = 0.0
        process.incarnation += 1
        self.note("restart", process.name)
        self.start(process, recovery)

    def _resume(self, task: Task, result: Any) -> None:
        """Send a result into a program, and perform the effect that it yields next."""
        while not task.gone:
            if task.process.paused_until > self.clock():
                self.after(task.process.paused_until - self.clock(), self._resume, task, result)
                return
            effect = self._advance(task, result)
            if effect is None or self._struck(task):
                return
            if not isinstance(effect, Now):
                self._perform(task, effect)
                return
            result = task.process.clock()

    def _advance(self, task: Task, result: Any) -> Effect | None:
        """The program's next effect, or None when it is done."""
        try:
            if isinstance(result, BaseException):
                return task.steps.throw(result)
            return task.steps.send(result)
        except StopIteration:
            self._tasks.remove(task)
            return None
        except Violation:
            raise
        except Exception as error:
            raise Violation(f"{task.process.name} failed: {type(error).__name__}: {error}") from error

    def _struck(self, task: Task) -> bool:
        """Draw a crash or a pause; True when the program's effect is not performed now, or never."""
        process, faults, random = task.process, self.faults, self.random
        drawn = random.random()
        if process.spared or drawn >= faults.crash + faults.pause:
            return False
        if drawn >= faults.crash:
            self.pause(process, random.random() ** 2 * LONGEST_PAUSE)
        elif random.random() < 0.5:
            self.crash(process)
            return True
        else:
            self.after(random.expovariate(500.0), self._crash_if_same, process, process.incarnation)
        return False

    def _crash_if_same(self, process: Process, incarnation: int) -> None:
        if process.incarnation == incarnation:
            self.crash(process)

    def _perform(self, task: Task, effect: Effect) -> None:
        process = task.process
        if process.paused_until > self.clock():
            self.after(process.paused_until - self.clock(), self._perform_unless_gone, task, effect)
        elif isinstance(effect, Call):
            self.network.send(process, effect, partial(self._resume, task))
        elif isinstance(effect, Sleep):
            self.after(process.clock.true_seconds(effect.seconds), self._resume, task, None)
        elif isinstance(effect, Parallel):
            self._perform_all(task, effect)
        else:
            raise Violation(f"{process.name} yielded {effect!r}, which is no effect")

    def _perform_unless_gone(self, task: Task, effect: Effect) -> None:
        if not task.gone:
            self._perform(task, effect)

    def _perform_all(self, task: Task, effect: Parallel) -> None:
        """Send all requests of a Parallel on journeys of their own, and resume when the last is answered."""
        results: list[Any] = [None] * len(effect.calls)
        missing = len(results)

        def answer(index: int, result: Any) -> None:
            nonlocal missing
            results[index] = result
            missing -= 1
            if not missing:
                self._resume(task, results)

        for index, call in enumerate(effect.calls):
            self.network.send(task.process, call, partial(answer, index))
        if not results:
            self.after(0.0, self._resume, task, results)

    def _line(self, what: str, who: str, call: Call | None, result: Any) -> str:
        line = f"{self.clock():9.4f}  {who:<14} {what.replace('_', ' '):<13}"
        if call is not None:
            _, target = self._names.get(id(call.target), (None, type(call.target).__name__))
            line += f" {target}.{call.operation}({', '.join(map(_shown, call.args))})"
        return f"{line} -> {_shown(result)}" if what in ("carried out", "done") else line.rstrip()


def _shown(value: Any) -> str:
    """A value without memory addresses, so that equal runs give equal traces."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _close(steps: Generator[Any, Any, Any]) -> None:
    """Close a generator that may yield while it is closing; what it yields is not performed."""
    while True:
        try:
            steps.throw(GeneratorExit)
        except BaseException:
            return
