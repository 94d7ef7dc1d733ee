"""Several locks at once, all or nothing.

They are taken one after the other in the order of their names, the same for everyone, so that nobody waits in a
circle (Havender, "Avoiding Deadlock in Multitasking Systems", IBM Systems Journal 7, 1968). When one is not to be had,
those before it are given back. When one is lost while others are waited for, all are given back and taken anew: taking
that one alone would be out of order.
"""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from ringfence.errors import InvalidType, InvalidValue, LeaseLost
from ringfence.locks.arguments import check_timeout
from ringfence.locks.lease import BaseLease, Lease
from ringfence.locks.lock import BaseLock, Entered, Lock
from ringfence.locks.recipes.giving_back import give_back, give_back_after
from ringfence.locks.session import Session
from ringfence.protocol import Effects, Now, run

L = TypeVar("L", bound=BaseLease)


class BaseLeases(Generic[L]):
    """What the leases of several locks have in common for threads and for tasks."""

    def __init__(self, leases: Sequence[L]) -> None:
        self._leases = {lease.name: lease for lease in leases}

    def __getitem__(self, name: str) -> L:
        """The lease of one of the locks.

        Raises:
            InvalidValue: it is not one of them.
        """
        if name not in self._leases:
            raise InvalidValue(f"{name!r} is not among these locks; they are {', '.join(self._leases)}")
        return self._leases[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the locks, in order."""
        return iter(self._leases)

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def fences(self) -> dict[str, int]:
        """The fence of each lock, by name."""
        return {name: lease.fence for name, lease in self._leases.items()}

    @property
    def valid(self) -> bool:
        """Whether all of them are held, as far as can be known here and now."""
        return self.remaining() > 0

    def remaining(self) -> float:
        """Return the seconds until the first of them ends; 0 when one was lost or released."""
        return min(lease.remaining() for lease in self._leases.values())

    def check(self) -> None:
        """Return if all of them are valid.

        Raises:
            LeaseLost: one is lost; the error names it.
            NotHeld: one was released.
        """
        for lease in self._leases.values():
            lease.check()

    def on_lost(self, callback: Callable[[Self], object]) -> None:
        """Have `callback(leases)` called once when the first of them is lost; see `Lease.on_lost`.

        Raises:
            InvalidType: `callback` cannot be called, or is a coroutine function.
        """
        if not callable(callback) or inspect.iscoroutinefunction(callback):
            raise InvalidType(f"on_lost takes a plain function of the leases, not {callback!r}")
        first = threading.Lock()

        def tell(_: BaseLease) -> None:
            if first.acquire(blocking=False):
                callback(self)

        for lease in self._leases.values():
            lease.on_lost(tell)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(map(repr, self._leases.values()))}>"

    def _releasing(self) -> Effects[list[L]]:
        """Give back those that were not released before; return those that were not held any more."""
        held = [lease for lease in self._leases.values() if not lease.was_released()]
        return (yield from give_back(held))


class Leases(BaseLeases[Lease]):
    """The leases of several locks, from `MultiLock.acquire()` or `with multi as leases`.

    ::

        leases["account:1"].fence
    """

    def release(self) -> bool:
        """Give all of them back; return whether all were still held. A second call returns False.

        Raises:
            StoreError: the store failed or did not answer for one of them; the others were given back.
        """
        return run(released(self))


class BaseMultiLock(Generic[L]):
    """What takes several locks, for threads and for tasks.

    Args:
        names: of the locks.
        lock: makes one of them.
    """

    def __init__(self, names: Iterable[str], lock: Callable[[str], BaseLock[L]]) -> None:
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise InvalidType(f"multi() takes the names of several locks, not {names!r}")
        locks = [lock(name) for name in names]
        if not locks:
            raise InvalidValue("multi() takes at least one name")
        self._locks = sorted({lock.name: lock for lock in locks}.values(), key=lambda lock: lock.name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the locks, each once, in the order in which they are taken."""
        return tuple(lock.name for lock in self._locks)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(map(repr, self.names))}>"

    def _acquiring(self, timeout: float | None) -> Effects[list[L] | None]:
        until = math.inf if timeout is None else (yield Now()) + timeout
        while True:
            leases: list[L] = []
            try:
                complete = yield from self._gather(leases, until)
            except GeneratorExit:
                raise
            except BaseException as error:
                yield from give_back_after(error, leases)
                raise
            if complete and all(lease.valid for lease in leases):
                return leases
            yield from give_back(leases)
            if not complete:
                return None

    def _gather(self, leases: list[L], until: float) -> Effects[bool]:
        """Take the locks in order into `leases`; False if one was not to be had in time."""
        for lock in self._locks:
            left = None if until == math.inf else max(until - (yield Now()), 0.0)
            lease = yield from lock._acquiring(left)
            if lease is None:
                return False
            leases.append(lease)
        return True

    def _leaving(self, leases: BaseLeases[L], error: BaseException | None) -> Effects[None]:
        if error is not None:
            yield from give_back_after(error, list(leases._leases.values()))
            return
        lost = yield from leases._releasing()
        if lost:
            raise LeaseLost(lost[0].name, lost[0].fence)


def released(leases: BaseLeases[L]) -> Effects[bool]:
    """Give all leases back; return whether all were still held."""
    names = [lease.name for lease in leases._leases.values() if not lease.was_released()]
    lost = yield from leases._releasing()
    return len(names) == len(leases) and not lost


class MultiLock(BaseMultiLock[Lease]):
    """Several locks of `LockManager.multi()`, taken all or nothing, for threads and processes.

    ::

        with manager.multi(["account:1", "account:2"]) as leases:
            transfer(leases.fences)

    Leaving the block releases all. If one was lost in the meantime, leaving raises `LeaseLost`, unless another
    exception is under way.
    """

    def __init__(self, session: Session, names: Iterable[str], ttl: float, renew: bool) -> None:
        super().__init__(names, lambda name: Lock(session, name, ttl, renew))
        self._entered: Entered[Leases] = Entered()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> Leases | None:
        """Take all of the locks.

        Args:
            blocking: False asks once for each and does not wait.
            timeout: seconds to wait for all of them together; None waits for ever.

        Returns:
            The leases, or None if one was not to be had in time; then none is held.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: the timeout is negative, or given beside `blocking=False`.
            StoreError: the store failed, or did not answer until the timeout. None of the locks is held then; one
                that could not be given back ends with its ttl.
        """
        leases = run(self._acquiring(check_timeout(blocking, timeout)))
        return None if leases is None else Leases(leases)

    def __enter__(self) -> Leases:
        leases = self.acquire()
        assert leases is not None
        self._entered.push(threading.get_ident(), leases)
        return leases

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leases = self._entered.pop(threading.get_ident(), ", ".join(self.names))
        run(self._leaving(leases, error))
