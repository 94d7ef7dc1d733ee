"""A lock at a majority of independent servers, each with the plain scripts: Redlock, with fences.

Source: https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ ("the Redlock algorithm").

Who holds the lock at a majority has it: two majorities share a server, and there it is held by one at a time. A holder
counts its ttl from before it asked, on a clock that never goes back, and each server keeps the lease for longer by
`_DRIFT`: as long as no clock gains more than that on another, the servers let it go only when its holder has.

Each server issues a fence of its own. That of the grant is the greatest in the majority, and it is written back: the
grant counts only when a majority W has stored it, while it still held the lock for that owner. So fences grow: a later
grant, of a majority G, shares a server s with W. If s served the later owner after it stored the fence, it answered
with a greater one, and the later grant takes the greatest of all answers. If it served the later owner before, that
owner's lease at s had ended or was withdrawn when s granted the earlier one; its request is older than its own ttl by
then, and such a grant is over before it counts.

That needs servers that forget nothing. One that starts empty has forgotten leases, so it is not asked before
`restart_delay` has passed since its start: until then every lease that it may have forgotten has ended, for none is
longer. It has forgotten the fences, too, and goes by its clock, which must not be behind the others' by more than the
delay. What a majority forgets at once, and an operator who changes the servers of a lock, are beyond that.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ringfence.errors import InvalidValue, OutcomeUnknown, StoreError, StoreTimeout
from ringfence.locks.stores import Claim, Holder, Status
from ringfence.locks.stores.redis import requests
from ringfence.protocol import Call, Effects, Sleep

_DRIFT = 0.01
_TICK = 0.002
_LEAST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05


class Question(NamedTuple):
    """What a server is asked: a function of `requests` by its name, and its arguments."""

    kind: str
    args: tuple[Any, ...]

    def packed(self) -> bytes:
        """Return the request."""
        request: bytes = getattr(requests, self.kind)(*self.args)
        return request


class Quorum:
    """The protocols of a lock at a majority of servers.

    Args:
        servers: asks several questions of each server at once: `ask(batches)` answers, for each server, a list with
            what it said, or the error that kept it from answering; `leases()` likewise.
        count: how many servers there are.
        longest: seconds of the longest ttl that is safe when a server starts again empty.
    """

    def __init__(self, servers: Any, count: int, longest: float) -> None:
        self._servers = servers
        self._count = count
        self._longest = longest
        self._majority = count // 2 + 1

    def grant(self, name: str, owner: str, ttl: float, fences: int) -> Effects[int | None]:
        """Take the lock at a majority, and write the fence back there; withdraw everywhere what does not reach it.

        Raises:
            InvalidValue: the ttl is longer than a server that starts again is left out.
            StoreTimeout: too few servers answered; the lock is not held.
        """
        self._check(ttl)
        answers = yield from self._ask("grant", name, owner, stretched(ttl), fences)
        granted = [answer for answer in answers if isinstance(answer, int) and answer > 0]
        if len(granted) >= self._majority:
            fence = max(granted)
            if (yield from self._settle(name, owner, fence, answers)):
                return fence
        yield from self._ask("withdraw", name, owner)
        if len(granted) < self._majority <= len(answered(answers)):
            return None
        raise StoreTimeout(f"{self._silent(answers)}; the lock {name!r} was withdrawn, try again")

    def wait(self, seconds: float) -> Effects[None]:
        """Pause for a random time: no server can hand on a lock of several, and those who wait must not keep step."""
        yield Sleep(min(seconds, random.uniform(_LEAST_PAUSE, _LONGEST_PAUSE)))

    def renew(self, claims: Sequence[Claim]) -> Effects[list[bool | None]]:
        """Extend leases at a majority; None while silent servers keep it open whether they are still held.

        Raises:
            OutcomeUnknown: too few servers answered.
        """
        for claim in claims:
            self._check(claim.ttl)
        batch = [Question("renew", (claim._replace(ttl=stretched(claim.ttl)),)) for claim in claims]
        answers = yield from self._ask_each([batch] * self._count)
        heard = [answer for answer in answers if isinstance(answer, list)]
        if len(heard) < self._majority:
            raise OutcomeUnknown(f"{self._silent(answers)}; ask again")
        return [self._verdict(column) for column in zip(*heard, strict=True)]

    def release(self, name: str, owner: str, fence: int) -> Effects[bool]:
        """Free the lock everywhere; say whether it was held at a majority.

        Raises:
            OutcomeUnknown: silent servers keep that open.
        """
        answers = yield from self._ask("release", name, owner, fence)
        verdict = self._verdict(answered(answers))
        if verdict is None:
            raise OutcomeUnknown(f"{self._silent(answers)}; ask again")
        return verdict

    def withdraw(self, name: str, owner: str) -> Effects[None]:
        """Free the lock everywhere, whatever its fence.

        Raises:
            OutcomeUnknown: less than a majority answered.
        """
        answers = yield from self._ask("withdraw", name, owner)
        if len(answered(answers)) < self._majority:
            raise OutcomeUnknown(f"{self._silent(answers)}; ask again")

    def status(self, name: str) -> Effects[Status]:
        """Return who holds the lock at a majority."""
        answers = yield from self._ask("status", name)
        told = [requests.told(name, answer).holders for answer in answered(answers)]
        self._check_heard(answers)
        return Status(tuple(self._held(told)), ())

    def leases(self) -> Effects[list[Holder]]:
        """Return all leases that a majority keeps, by name."""
        answers = yield Call(self._servers, "leases")
        self._check_heard(answers)
        return sorted(self._held(answered(answers)))

    def _settle(self, name: str, owner: str, fence: int, answers: Sequence[Any]) -> Effects[bool]:
        """Write the fence to the servers that granted a lesser one; say whether a majority has it."""
        lesser = [isinstance(answer, int) and 0 < answer < fence for answer in answers]
        question = Question("settle", (name, owner, fence))
        settled = yield from self._ask_each([[question] if less else [] for less in lesser])
        stored = answers.count(fence) + settled.count([1])
        return stored >= self._majority

    def _ask(self, kind: str, *args: Any) -> Effects[list[Any]]:
        """Ask every server the same, and return what each answered."""
        answers = yield from self._ask_each([[Question(kind, args)]] * self._count)
        return [answer[0] if isinstance(answer, list) else answer for answer in answers]

    def _ask_each(self, batches: Sequence[Sequence[Question]]) -> Effects[list[Any]]:
        answers: list[Any] = yield Call(self._servers, "ask", (batches,))
        return answers

    def _verdict(self, said: Iterable[int]) -> bool | None:
        """Return whether a majority said yes; None if those who were silent could still make it one."""
        votes = list(said)
        if sum(votes) >= self._majority:
            return True
        return False if self._count - len(votes) + sum(votes) < self._majority else None

    def _held(self, told: Iterable[Iterable[Holder]]) -> list[Holder]:
        """Return the leases that a majority of servers tells of: the time left is what a majority has left."""
        found = [holder for holders in told for holder in holders]
        counts = Counter((holder.name, holder.owner) for holder in found)
        return [self._seen(each, found) for each, count in counts.items() if count >= self._majority]

    def _seen(self, each: tuple[str, str], found: Iterable[Holder]) -> Holder:
        same = [holder for holder in found if holder[:2] == each]
        left = sorted((holder.remaining for holder in same), reverse=True)[self._majority - 1]
        return Holder(*each, max(holder.fence for holder in same), max(left - _TICK, 0.0) / (1 + _DRIFT))

    def _check(self, ttl: float) -> None:
        if ttl > self._longest:
            raise InvalidValue(
                f"a ttl of {ttl} s is longer than a server that starts again is left out; "
                f"say ?restart_delay={ttl:g} or more in the URL, or 0 if the servers lose nothing"
            )

    def _check_heard(self, answers: Sequence[Any]) -> None:
        if len(answered(answers)) < self._majority:
            raise StoreTimeout(f"{self._silent(answers)}; try again")

    def _silent(self, answers: Sequence[Any]) -> str:
        errors = [answer for answer in answers if isinstance(answer, StoreError)]
        why = f" ({errors[0]})" if errors else ""
        return f"{len(errors)} of {self._count} servers did not answer{why}"


def stretched(ttl: float) -> float:
    """Return for how long a server keeps a lease, whose clock may run faster than the holder's."""
    return ttl * (1 + _DRIFT) + _TICK


def answered(answers: Iterable[Any]) -> list[Any]:
    """Return the answers of those servers that gave one."""
    return [answer for answer in answers if not isinstance(answer, Exception)]
