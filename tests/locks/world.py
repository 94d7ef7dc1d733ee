"""A driver of protocols on a clock of its own, which loses what it is told to lose."""

from collections.abc import Callable
from typing import Any

from ringfence.locks.acquire import Granted, acquire
from ringfence.locks.stores import Push
from ringfence.locks.stores.memory import MemoryStore
from ringfence.locks.waiter import ThreadWaiter
from ringfence.protocol import Call, Effects, Now, Sleep


class World:
    """Performs effects on a clock of its own; `faults` says what happens to the nth call of an operation."""

    store: MemoryStore

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        self.slept: list[float] = []
        self.faults: dict[tuple[str, int], Callable[[Call], Any]] = {}
        self.latency = 0.0
        self.interrupted_at = 0  # the number of the effect after which the driver is interrupted

    def clock(self) -> float:
        return self.now

    def run(self, steps: Effects[Any]) -> Any:
        resume, value = steps.send, None
        while True:
            try:
                effect = resume(value)
            except StopIteration as stop:
                return stop.value
            try:
                value, resume = self.perform(effect), steps.send
                self.interrupt()
            except BaseException as error:
                value, resume = error, steps.throw

    def interrupt(self) -> None:
        self.interrupted_at -= 1
        if self.interrupted_at == 0:
            raise KeyboardInterrupt

    def perform(self, effect: Any) -> Any:
        match effect:
            case Now():
                return self.now
            case Sleep(seconds):
                self.slept.append(seconds)
                self.now += seconds
                return None
            case Call():
                return self.call(effect)
        raise AssertionError(effect)

    def call(self, call: Call) -> Any:
        self.calls.append(call.operation)
        fault = self.faults.get((call.operation, self.calls.count(call.operation)))
        if fault is not None:
            return fault(call)
        answer = self.wait(*call.args) if call.operation == "wait" else deliver(call)
        self.now += self.latency
        return answer

    def wait(self, name: str, owner: str, seconds: float) -> Push | None:
        """Let time pass until the holder's lease ends, and see what was granted meanwhile."""
        left = self.store.look(name, owner, ThreadWaiter())
        self.now += 0.0 if isinstance(left, Push) else min(left, seconds)
        seen = self.store.look(name, owner, ThreadWaiter())
        return seen if isinstance(seen, Push) else None


def deliver(call: Call) -> Any:
    return getattr(call.target, call.operation)(*call.args)


def lose_answer(error: BaseException) -> Callable[[Call], Any]:
    """The request is carried out; its answer is lost."""

    def fault(call: Call) -> Any:
        deliver(call)
        raise error

    return fault


def lose_request(error: BaseException) -> Callable[[Call], Any]:
    def fault(call: Call) -> Any:
        raise error

    return fault


def take(world: World, store: MemoryStore, owner: str = "me", timeout: float | None = 0.0) -> Granted | None:
    granted: Granted | None = world.run(acquire(store, "x", owner, 10.0, timeout, lambda: 0.0))
    return granted
