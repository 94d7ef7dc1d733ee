"""The lock store of a simulation: it watches every grant, and its pushes travel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ringfence.locks import rules
from ringfence.locks.stores import Push, Shared
from ringfence.locks.stores.memory import MemoryStore
from ringfence.locks.stores.memory_shared import SharedLocks
from ringfence.testing.network import Answer, Later, Violation
from ringfence.testing.simulator import Simulation


class WatchedStore(MemoryStore):
    """The store in memory, and what must be true of every grant.

    Args:
        simulation: whose time it is.
        wall: the store's wall clock.
        check: called with the lock and the owner of every grant.
    """

    def __init__(
        self, simulation: Simulation, wall: Callable[[], float], check: Callable[[str, str], None]
    ) -> None:
        super().__init__(simulation.clock, wall)
        self._check = check
        self._mail = Mail(simulation)
        self._shares = WatchedShares(simulation.clock, wall, self._look_at, self._mail.send)
        self._issued: dict[str, tuple[str, int]] = {}
        self._asked: dict[str, dict[str, float]] = {}  # in the order in which they came; when they asked last

    def grant(self, name: str, owner: str, ttl: float, queue: bool = False, fences: int = 1) -> int | None:
        """Grant, and look at the fence."""
        held = [holder.fence for holder in self.status(name).holders if holder.owner == owner]
        fence = super().grant(name, owner, ttl, queue, fences)
        if held:
            self._check_again(name, held[0], fence)
        if fence is None and queue:
            self._asked.setdefault(name, {})[owner] = self._clock()
        return fence

    def withdraw(self, name: str, owner: str) -> None:
        """Withdraw, and wait no longer."""
        self._asked.get(name, {}).pop(owner, None)
        super().withdraw(name, owner)

    def wait(self, _: str, owner: str, seconds: float) -> Any:
        """Wait for what is pushed to the owner, which may be lost, late or doubled."""
        return Later(partial(self._mail.receive, owner, seconds))

    def _put(self, name: str, owner: str, ttl: float, fences: int, age: float = 0.0) -> Any:
        row = super()._put(name, owner, ttl, fences, age)
        self._look_at(name, owner, row.fence, fences)
        return row

    def _hand_on(self, name: str) -> Any:
        row = super()._hand_on(name)
        if row is not None:
            self._mail.send(row.owner, Push(row.fence, row.age))
        return row

    def _look_at(self, name: str, owner: str, fence: int, fences: int) -> None:
        self._check_turn(name, owner)
        self._check_new(name, owner, fence, fences)
        self._check(name, owner)

    def _check_turn(self, name: str, owner: str) -> None:
        queue = self._asked.get(name, {})
        while queue:
            first = next(iter(queue))
            asked = queue.pop(first)
            if first == owner:
                return
            if self._clock() < asked + rules.PLACE:
                raise Violation(f"{owner} got {name!r} before {first}, who came first")

    def _check_again(self, name: str, held: int, fence: int | None) -> None:
        if fence != held:
            raise Violation(f"the holder of {name!r} (fence {held}) asked again and was told {fence}")

    def _check_new(self, name: str, owner: str, fence: int, fences: int) -> None:
        last_owner, last = self._issued.get(name, ("", 0))
        if fence <= last:
            raise Violation(f"{owner} got fence {fence} for {name!r} after {last_owner} had {last}")
        self._issued[name] = owner, fence + fences - 1


class WatchedShares(SharedLocks):
    """The shares of the store.

    Args:
        clock: seconds.
        wall: seconds since 1970.
        look_at: called with the lock, the owner and the fences of every grant.
        send: pushes a grant to its owner.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        wall: Callable[[], float],
        look_at: Callable[[str, str, int, int], None],
        send: Callable[[str, Push], None],
    ) -> None:
        super().__init__(clock, wall)
        self._look_at = look_at
        self._send = send

    def _put(self, lock: Any, name: Shared, owner: str, ttl: float, fences: int, age: float = 0.0) -> Any:
        share = super()._put(lock, name, owner, ttl, fences, age)
        self._look_at(name, owner, share.fence, fences)
        return share

    def _pass_on(self, lock: Any) -> None:
        before = set(lock.held)
        super()._pass_on(lock)
        for owner, share in lock.held.items():
            if owner not in before:
                self._send(owner, Push(share.fence, share.age))


class Mail:
    """What the store pushes to owners that wait: it travels, and is kept until its owner looks."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._arrived: dict[str, list[Push]] = {}
        self._waiting: dict[str, Answer] = {}

    def send(self, owner: str, push: Push) -> None:
        """Let a push travel to an owner."""
        self._simulation.network.push(partial(self._arrive, owner, push))

    def receive(self, owner: str, seconds: float, answer: Answer) -> None:
        """Answer with the next push to an owner, or with None after some seconds."""
        if self._arrived.get(owner):
            answer(self._arrived[owner].pop(0))
            return
        self._waiting[owner] = answer
        self._simulation.after(seconds, self._give_up, owner, answer)

    def _arrive(self, owner: str, push: Push) -> None:
        answer = self._waiting.pop(owner, None)
        if answer is not None:
            answer(push)
        else:
            self._arrived.setdefault(owner, []).append(push)

    def _give_up(self, owner: str, answer: Answer) -> None:
        if self._waiting.get(owner) is answer:
            self._waiting.pop(owner)(None)
