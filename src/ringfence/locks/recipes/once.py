"""Something that one of all processes does, once in a while.

Whoever does it holds a lock meanwhile, so that another may try when it dies or fails. When it is done, a second lock is
taken under the first, for the rest of the time, and kept by nobody: it ends by itself. Whoever holds the first lock
looks for the second before it begins.
"""

from __future__ import annotations

import math
import threading
from types import TracebackType
from typing import Generic, Literal, TypeAlias, TypeVar

from ringfence._core.leases import new_owner
from ringfence.errors import StoreError
from ringfence.locks.acquire import until_answered
from ringfence.locks.arguments import SHORTEST, check_name, check_seconds
from ringfence.locks.lease import BaseLease, Lease
from ringfence.locks.lock import BaseLock, Entered, Lock
from ringfence.locks.recipes.giving_back import give_back_after
from ringfence.locks.recipes.outliving import check_outliving
from ringfence.locks.session import Session
from ringfence.locks.stores import Status
from ringfence.protocol import Call, Effects, Now, run

L = TypeVar("L", bound=BaseLease)

_YEAR = 366 * 86_400.0

State: TypeAlias = Literal["mine", "running", "done"]


class Turn(Generic[L]):
    """Whether it is this one's turn; true if it is.

    Attributes:
        state: `"mine"`; `"running"` when another does it now, or `"done"` when one has.
        lease: what is held while it is done; None if it is another's turn.
        started: when the turn was asked for.
    """

    def __init__(self, state: State, lease: L | None, started: float) -> None:
        self.state = state
        self.lease = lease
        self.started = started

    def __bool__(self) -> bool:
        return self.lease is not None

    def __repr__(self) -> str:
        return f"<Turn {self.state}>"


class BaseOnce(Generic[L]):
    """What `Once` of threads and of tasks have in common.

    Args:
        session: of the manager.
        lock: held by who does it.
        within: seconds.
    """

    def __init__(self, session: Session, lock: BaseLock[L], within: float) -> None:
        self._store = session.store
        check_outliving(self._store, "once()")
        self._lock = lock
        self._done = check_name(f"{lock.name}:done")
        self._within = check_seconds("within", within, _YEAR)
        self._entered: Entered[Turn[L]] = Entered()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._lock.name!r} within={self._within}>"

    def _beginning(self) -> Effects[Turn[L]]:
        started = yield Now()
        lease = yield from self._lock._acquiring(0.0)
        try:
            status = yield from self._ask("status", self._done)
            assert isinstance(status, Status)
            if lease is not None and status.holder is None:
                return Turn("mine", lease, started)
        except GeneratorExit:
            raise
        except BaseException as error:
            if lease is not None:
                yield from give_back_after(error, [lease])
            raise
        if lease is not None:
            yield from lease._releasing()
        return Turn("running" if status.holder is None else "done", None, started)

    def _ending(self, turn: Turn[L], error: BaseException | None) -> Effects[None]:
        lease = turn.lease
        if lease is None:
            return
        try:
            if error is None:
                lease.check()
                yield from self._note(turn.started)
        except GeneratorExit:
            raise
        except BaseException as failure:
            yield from give_back_after(failure, [lease])
            raise
        if error is None:
            yield from lease._releasing()
        else:
            yield from give_back_after(error, [lease])

    def _note(self, started: float) -> Effects[None]:
        """Note that it is done, for what is left of the time."""
        left = self._within - ((yield Now()) - started)
        if left < SHORTEST:
            return
        try:
            yield from self._ask("grant", self._done, new_owner(), left)
        except StoreError as failure:
            failure.add_note(
                f"{self._lock.name!r} was done, but that could not be noted: it may be done again"
            )
            raise

    def _ask(self, operation: str, *arguments: object) -> Effects[object]:
        answer, _ = yield from until_answered(Call(self._store, operation, arguments), math.inf)
        return answer


class Once(BaseOnce[Lease]):
    """Something that one of all threads and processes does within a time, from `LockManager.once()`.

    ::

        with manager.once("report", within=3600) as turn:
            if turn:
                send_report()

    Nobody waits. A block that is left by an exception was not done, and another may try; so it is when its process
    dies, after the ttl of its lease. When its lease was lost, leaving the block raises `LeaseLost`: another may have
    begun. So it may be begun more than once, but by one at a time as far as leases go; what must not be written by two
    wants a guard and `turn.lease.fence`, and what must be done once for ever wants a row that a transaction decides.
    """

    def __init__(self, session: Session, name: str, within: float, ttl: float) -> None:
        super().__init__(session, Lock(session, name, ttl, True), within)

    def __enter__(self) -> Turn[Lease]:
        turn = run(self._beginning())
        self._entered.push(threading.get_ident(), turn)
        return turn

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        turn = self._entered.pop(threading.get_ident(), self._lock.name)
        run(self._ending(turn, error))
