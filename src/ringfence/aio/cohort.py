"""The cohort of the tasks of an event loop: what mostly happens, it does without a generator.

A lock that is free is granted by the first request, and a release is answered. Whatever else comes of a request, be it
an error or a cancellation, is handed to the protocol as what came of its first effects, as `ringfence.locks.at_once`
does for threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringfence._core.lines import IN_FRONT, Place
from ringfence.locks import acquire as asking
from ringfence.locks.acquire import Granted
from ringfence.locks.cohort import Cohort
from ringfence.locks.stores import Claim
from ringfence.protocol import arun, now


class TaskCohort(Cohort):
    """A cohort of tasks; its store answers awaitables."""

    async def take_in_task(
        self, name: str, owner: str, ttl: float, timeout: float | None, check: Callable[[], object]
    ) -> Granted | None:
        """Do what `acquire` does, in this task; mostly the lock is free, and asking once is all."""
        place = Place(ttl)
        again = self._lines.enter(name, place)
        if again > IN_FRONT:
            steps = self._stand(name, owner, place, again, self._until(timeout), check)
            return await arun(self._standing(name, place, steps))
        sent = now()
        answer: Any
        try:
            answer = await self._asked.grant(name, owner, ttl, timeout != 0, self._lines.fences)
            granted = None if answer is None else asking.answered(name, owner, ttl, answer, sent, now())
            if granted is not None:
                self._lines.hold(place, granted)
                return granted
        except GeneratorExit:  # nothing can be asked for any more
            self._leave(name, place)
            raise
        except BaseException as error:  # the protocol raises it again when it has cleaned up
            answer = error
        steps = self._ask(name, owner, place, timeout, check)
        return await arun(self._standing(name, place, steps), [sent, answer])

    async def give_back_in_task(self, claim: Claim, deadline: float) -> bool:
        """Do what `release` does, in this task."""
        handed = self._lines.hand_on(claim, deadline)
        if handed is not None:
            return handed
        sent = now()
        held: Any
        try:
            held = await self._asked.release(claim.name, claim.owner, claim.fence)
        except GeneratorExit:
            raise
        except BaseException as error:
            held = error
        return (
            True if held is True else await arun(asking.release(self._store, claim, deadline), [sent, held])
        )

    @property
    def _asked(self) -> Any:
        return self._store
