"""The quorum's protocols over modelled servers whose clocks differ, which lose messages, crash and start again empty.

Every grant that counts must exclude the others, by its holder's own clock, and have a greater fence than all before.
What that rests on is switched off one by one, and must be missed.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from ringfence.errors import OutcomeUnknown, StoreTimeout
from ringfence.locks.stores import Claim
from ringfence.locks.stores.redis import quorum
from ringfence.locks.stores.redis.quorum import Question, Quorum
from ringfence.protocol import Call, Effects
from ringfence.testing.switches.replaced import replaced

NAME = "x"
TTL = 1.0
PATIENCE = 0.3  # of a client with a server
DELAY = 2.0  # for which a server that starts again is left out
SKEW = 1.5  # by which the servers' clocks differ at most
RATE = 0.004  # by which a clock runs faster or slower at most
END = 60.0
SEEDS = range(40)


class Violation(Exception):
    """Two held the lock at once, or a fence was not greater than one before."""


class ModelServer:
    """What the scripts do to one lock, in Python."""

    def __init__(self, chance: random.Random, delay: float) -> None:
        self._skew = chance.uniform(0, SKEW)
        self._rate = 1 + chance.uniform(-RATE, RATE)
        self._delay = delay
        self.up = True
        self.counts_from = 0.0
        self.lose(0.0)
        self.counts_from = 0.0

    def lose(self, moment: float) -> None:
        """Start again with nothing."""
        self.counts_from = moment + self._delay
        self._till, self._fence, self._fences, self._owner = 0.0, 0, 0, ""

    def answer(self, question: Question, moment: float) -> int:
        """Carry out a request, whose name and arguments are those of `requests`."""
        self._now = 1 + moment * self._rate + self._skew
        answer: int = getattr(self, question.kind)(*question.args)
        return answer

    def grant(self, name: str, owner: str, ttl: float, fences: int) -> int:
        if self._till > self._now and self._owner != owner:
            return -1
        if self._till <= self._now:
            self._fence = max(self._fence + self._fences, int(self._now * 1e6))
        self._till, self._fences, self._owner = max(self._till, self._now + ttl), fences, owner
        return self._fence

    def settle(self, name: str, owner: str, fence: int) -> int:
        if not self._holds(owner) or self._fence > fence:
            return 0
        self._fence = fence
        return 1

    def renew(self, claim: Claim) -> int:
        if not self._holds(claim.owner) or self._fence != claim.fence:
            return 0
        self._till = max(self._till, self._now + claim.ttl)
        return 1

    def release(self, name: str, owner: str, fence: int) -> int:
        held = self._holds(owner) and self._fence == fence
        self._till = 0.0 if held else self._till
        return int(held)

    def withdraw(self, name: str, owner: str) -> int:
        self._till = 0.0 if self._holds(owner) else self._till
        return 0

    def _holds(self, owner: str) -> bool:
        return self._till > self._now and self._owner == owner


class Model:
    """Events in the order of their time; which happen, and when, is drawn from one seed."""

    def __init__(self, seed: int, count: int = 3, delay: float = DELAY) -> None:
        self.chance = random.Random(seed)
        self.now = 0.0
        self.servers = [ModelServer(self.chance, delay) for _ in range(count)]
        self.quorum = Quorum(self, count, 10.0)
        self.grants = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._held_until = 0.0
        self._newest = 0

    def run(self, clients: int = 4, crashes: bool = True) -> None:
        for number in range(clients):
            self.resume(self.client(number), None)
        if crashes:
            for server in self.servers:
                self.resume(self.misfortune(server), None)
        while self._events and self._events[0][0] < END:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def client(self, number: int) -> Generator[Any, Any, None]:
        rate = 1 + self.chance.uniform(-RATE, RATE)  # of this client's clock
        for turn in itertools.count():
            yield self.chance.uniform(0, 0.5)
            owner, sent = f"{number}/{turn}", self.now
            fence = yield from self.tried(self.quorum.grant(NAME, owner, TTL, 32))
            if fence is not None and self.now < sent + TTL * rate:
                yield from self.hold(owner, fence, sent + TTL * rate, rate)

    def hold(self, owner: str, fence: int, deadline: float, rate: float) -> Generator[Any, Any, None]:
        """Hold the lock for a while, perhaps renewed, perhaps until it has ended."""
        if self.now < self._held_until:
            raise Violation(f"{owner} holds it from {self.now} on, another until {self._held_until}")
        if fence <= self._newest:
            raise Violation(f"{owner} has the fence {fence}, and one before had {self._newest}")
        self.grants += 1
        self._newest, self._held_until = fence + 31, deadline
        yield self.chance.uniform(0, 0.4)
        sent = self.now
        answers = yield from self.tried(self.quorum.renew([Claim(NAME, owner, fence, TTL)]))
        if answers == [True] and self.now < deadline:
            self._held_until = max(deadline, sent + TTL * rate)
        if self.chance.random() < 0.7 and self.now < self._held_until:
            self._held_until = self.now
            yield from self.tried(self.quorum.release(NAME, owner, fence))

    def tried(self, steps: Effects[Any]) -> Generator[Any, Any, Any]:
        try:
            return (yield from steps)
        except (StoreTimeout, OutcomeUnknown):
            return None

    def misfortune(self, server: ModelServer) -> Generator[Any, Any, None]:
        while True:
            yield self.chance.uniform(0, 12)
            server.up = False
            yield self.chance.choice((0.01, 0.1, 1.0))
            server.up = True
            server.lose(self.now)

    def resume(self, process: Generator[Any, Any, None], value: Any) -> None:
        """Let a process go on until it waits: for some seconds, or for the servers."""
        try:
            effect = process.send(value)
        except StopIteration:
            return
        if isinstance(effect, Call):
            self.deliver(effect.args[0], lambda answers: self.resume(process, answers))
        else:
            self.after(effect, lambda: self.resume(process, None))

    def deliver(self, batches: list[list[Question]], reply: Callable[[list[Any]], None]) -> None:
        """Send each server its batch; what is not back in time is unknown, though it may still arrive there."""
        answers: list[Any] = [OutcomeUnknown("silent") if batch else [] for batch in batches]
        back = 0.0
        for at, (server, batch) in enumerate(zip(self.servers, batches, strict=True)):
            there, away = self.trip(), self.trip()
            if batch and self.chance.random() > 0.05:
                self.after(there, partial(self.arrive, at, server, batch, there + away, answers))
            back = max(back, min(there + away, PATIENCE)) if batch else back
        self.after(back + 1e-6, lambda: reply(list(answers)))

    def trip(self) -> float:
        return self.chance.choice((0.001, 0.001, 0.002, 0.01, 0.1, 0.5)) * self.chance.uniform(0.5, 1.5)

    def arrive(
        self, at: int, server: ModelServer, batch: list[Question], back: float, answers: list[Any]
    ) -> None:
        if not server.up:
            return
        if self.now < server.counts_from:
            answers[at] = StoreTimeout("it has started lately")
            return
        said = [server.answer(question, self.now) for question in batch]
        if back <= PATIENCE and self.chance.random() > 0.05:
            answers[at] = said

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))


def test_whoever_counts_excludes_others_and_has_a_greater_fence() -> None:
    grants = 0
    for seed in SEEDS:
        for count in (3, 5):
            model = Model(seed, count)
            model.run()
            grants += model.grants
    assert grants > 10 * len(SEEDS), "the model grants too little to show anything"


def found(play: Callable[[int], None]) -> bool:
    """Say whether a violation was found with any of many seeds."""
    return any(violated(play, seed) for seed in range(400))


def violated(play: Callable[[int], None], seed: int) -> bool:
    try:
        play(seed)
    except Violation:
        return True
    return False


def fence_is_not_written_back(*_: Any) -> Effects[bool]:
    yield from ()
    return True


def test_a_fence_that_is_not_written_back_is_found() -> None:
    with replaced(Quorum, "_settle", fence_is_not_written_back):
        assert found(lambda seed: Model(seed).run(crashes=False))


def test_a_server_that_is_asked_at_once_after_it_lost_its_leases_is_found() -> None:
    assert found(lambda seed: Model(seed, delay=0.0).run())


def test_less_than_a_majority_is_found() -> None:
    def run(seed: int) -> None:
        model = Model(seed)
        model.quorum._majority = 1
        model.run()

    assert found(run)


def test_leases_that_end_early_at_the_servers_are_found() -> None:
    with replaced(quorum, "stretched", lambda ttl: ttl * 0.9):
        assert found(lambda seed: Model(seed, count=3).run(crashes=False))
