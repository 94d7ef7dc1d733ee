"""A lock: a recipe for leases. It holds nothing about the holder, so threads and tasks may share one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from ringfence.errors import LeaseLost, NotHeld, StoreError
from ringfence.locks.acquire import Granted
from ringfence.locks.arguments import check_name, check_timeout, check_ttl
from ringfence.locks.lease import BaseLease, Lease
from ringfence.locks.session import Session
from ringfence.locks.stores import Status
from ringfence.protocol import Call, Effects, run

L = TypeVar("L", bound=BaseLease)
T = TypeVar("T")


class BaseLock(Generic[L]):
    """What locks of threads and of tasks have in common."""

    _lease: Callable[..., L]

    def __init__(self, session: Session, name: str, ttl: float, renew: bool) -> None:
        self._session = session
        self._name = check_name(name)
        self._ttl = check_ttl(ttl)
        self._renew = bool(renew)
        self._entered: Entered[L] = Entered()

    @property
    def name(self) -> str:
        """The name of the lock."""
        return self._name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r} ttl={self._ttl} renew={self._renew}>"

    def _acquiring(self, timeout: float | None) -> Effects[L | None]:
        granted = yield from self._asking(timeout)
        if granted is None:
            return None
        try:
            return self._take(granted)
        except BaseException:
            yield from self._session.withdrawing(granted)
            raise

    def _looking(self) -> Effects[Status]:
        status: Status = yield Call(self._session.store, "status", (self._name,))
        return status

    def _asking(self, timeout: float | None) -> Effects[Granted | None]:
        return self._session.acquiring(self._name, self._ttl, timeout)

    def _take(self, granted: Granted) -> L:
        return self._lease(self._session, granted, self._renew)

    def _left(self, lease: BaseLease, held: bool, error: BaseException | None) -> None:
        """Raise, if the lease of a block was lost and nothing else is raised already."""
        if not held and error is None:
            raise LeaseLost(lease.name, lease.fence)

    def _left_unreleased(self, failure: StoreError, error: BaseException | None) -> None:
        """Raise the failure under way, or add it to what is raised already."""
        if error is None:
            raise
        error.add_note(f"and the lock {self._name!r} was not released: {failure}")


class Lock(BaseLock[Lease]):
    """A lock of `LockManager.lock()`, for threads and processes.

    ::

        with manager.lock("report") as lease:      # waits for it
            write(report, lease.fence)

        lease = manager.lock("report").acquire(timeout=0.5)
        if lease is not None:
            try:
                ...
            finally:
                lease.release()

    Leaving the `with` block releases the lease. If it was lost in the meantime, leaving raises `LeaseLost`, unless
    another exception is under way. A `with` block that was entered several times is left last in, first out, for
    each thread by itself. A lock is not reentrant: a thread that holds it and asks again waits.
    """

    _lease = Lease

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> Lease | None:
        """Take the lock.

        Keep the lease: one that nobody refers to is no longer renewed, and ends with its ttl.

        Args:
            blocking: False asks once and does not wait.
            timeout: seconds to wait for another holder; None waits for ever.

        Returns:
            The lease, or None if another holder had the lock all the time.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: the timeout is negative, or given beside `blocking=False`.
            StoreError: the store failed, or did not answer until the timeout. The lock is not held then; if even its
                withdrawal went unanswered, the store frees it after its ttl.
        """
        waits = None if blocking is True and timeout is None else check_timeout(blocking, timeout)
        return self._acquire(waits)

    def _acquire(self, timeout: float | None) -> Lease | None:
        """Do what `_acquiring` does, in this thread."""
        granted = self._session.take(self._name, self._ttl, timeout)
        if granted is None:
            return None
        try:
            return Lease(self._session, granted, self._renew)
        except BaseException:
            run(self._session.withdrawing(granted))
            raise

    def info(self) -> Status:
        """Return who holds the lock, with which fence and for how long, and who waits for it.

        Threads of a process share one place in the queue; where one of them hands the lock to the next, it stands under
        the owner and the fence of the first.

        Raises:
            StoreError: the store failed or did not answer.
        """
        return run(self._looking())

    def __enter__(self) -> Lease:
        lease = self.acquire()
        assert lease is not None
        self._entered.push(threading.get_ident(), lease)
        return lease

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lease = self._entered.pop(threading.get_ident(), self._name)
        if lease.was_released():
            return
        try:
            self._left(lease, lease.release(), error)
        except StoreError as failure:
            self._left_unreleased(failure, error)


class Entered(Generic[T]):
    """The leases whose `with` blocks have been entered and not left, newest last, and by whom."""

    def __init__(self) -> None:
        self._leases: list[tuple[object, T]] = []
        self._lock = threading.Lock()

    def push(self, who: object, lease: T) -> None:
        """Note that a thread or task has entered."""
        with self._lock:
            self._leases.append((who, lease))

    def pop(self, who: object, name: str) -> T:
        """Return the lease with which `who` entered last; failing that, the last of all.

        A generator may be closed, and a fixture torn down, by another thread or task than entered the block.

        Raises:
            NotHeld: nobody has entered.
        """
        with self._lock:
            if not self._leases:
                raise NotHeld(name)
            mine = [at for at, (entered, _) in enumerate(self._leases) if entered == who]
            return self._leases.pop(mine[-1] if mine else -1)[1]
