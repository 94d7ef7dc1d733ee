"""Locks for asyncio: the same protocols, driven by tasks; one timer an event loop and no task a lock."""

from __future__ import annotations

import asyncio
import inspect
import math
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from ringfence._core.leases import new_owner
from ringfence.aio.cancelling import CancelOnLost
from ringfence.aio.cohort import TaskCohort
from ringfence.aio.waiter import TaskWaiter
from ringfence.errors import InvalidType, LeaseLost, StoreError
from ringfence.locks.acquire import Granted
from ringfence.locks.arguments import check_timeout, check_ttl
from ringfence.locks.lease import BaseLease
from ringfence.locks.lock import BaseLock
from ringfence.locks.renewal import renew
from ringfence.locks.session import LONGEST_WAIT, Session
from ringfence.locks.stores import Claim, Status
from ringfence.protocol import Effects, arun, now


class LoopSession(Session):
    """A session kept by timers of the running event loop; renewals are tasks of their own, one a batch."""

    _waiter = TaskWaiter

    def _start(self) -> None:
        super()._start()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looks = math.inf  # when the timer goes off
        self._renewals: set[asyncio.Task[None]] = set()

    def acquiring(self, name: str, ttl: float, timeout: float | None) -> Effects[Granted | None]:
        """Take a lock; those who waited in an event loop that ended wait no longer."""
        if asyncio.get_running_loop() is not self._loop:
            self._enter_loop(asyncio.get_running_loop())
        return super().acquiring(name, ttl, timeout)

    def take_in_task(self, name: str, ttl: float, timeout: float | None) -> Awaitable[Granted | None]:
        """Do what `acquiring` does, in this task."""
        cohort = self._cohort_for(name)
        if not isinstance(cohort, TaskCohort) or asyncio.get_running_loop() is not self._loop:
            return arun(self.acquiring(name, ttl, timeout))
        self.check_open()
        return cohort.take_in_task(name, new_owner(), ttl, timeout, self.check_open)

    def give_back_in_task(self, claim: Claim, deadline: float) -> Awaitable[bool]:
        """Do what `releasing` does, in this task."""
        cohort = self._cohort_for(claim.name)
        if not isinstance(cohort, TaskCohort):
            return arun(self.releasing(claim, deadline))
        return cohort.give_back_in_task(claim, deadline)

    def _gathered(self) -> TaskCohort | None:
        return TaskCohort(self.store, self.table, self._waiter) if self._remote else None

    def notice(self, due: float) -> None:
        """Set the timer of the running loop, if something is due before it goes off."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._enter_loop(loop)
        if due < self._looks and not self.closed:
            self._set_timer(loop, min(due, self.table.next_due()))

    def notice_from_outside(self, due: float) -> None:
        """Have the loop do so, if it still runs."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it was closed
                self._loop.call_soon_threadsafe(self.notice, due)

    def call(self, callback: Callable[..., object], lease: BaseLease) -> None:
        """Call back about a lost lease; what that raises goes to the loop's exception handler."""
        try:
            callback(lease)
        except Exception as error:
            report(f"on_lost of {lease!r} failed", error)

    async def close(self) -> None:
        """Stop the timer and the renewals."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        for renewal in self._renewals:
            renewal.cancel()
        await asyncio.gather(*self._renewals, return_exceptions=True)

    def _enter_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._timer, self._looks = loop, None, math.inf
        self._cohort = self._gathered()

    def _set_timer(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = min(max(due - now(), 0.0), LONGEST_WAIT)
        self._looks = due
        self._timer = loop.call_later(seconds, go_off, weakref.ref(self))

    def _tick(self) -> None:
        self._looks, self._timer = math.inf, None
        due, lost = self.table.due(now())
        if due:
            renewal = asyncio.get_running_loop().create_task(self._renew(due))
            self._renewals.add(renewal)
            renewal.add_done_callback(self._renewals.discard)
        self.lose(lost)
        self.notice(self.table.next_due())

    async def _renew(self, claims: list[Claim]) -> None:
        try:
            self.lose(await arun(renew(self.store, self.table, self.wanted(claims))))
        except Exception as error:
            report("renewing leases failed; it is tried again", error)
        self.notice(self.table.next_due())


def go_off(session: weakref.ref[LoopSession]) -> None:
    """Do what is due, if the session still lives."""
    alive = session()
    if alive is not None and not alive.closed:
        alive._tick()


def report(message: str, error: Exception) -> None:
    """Report an error that no task waits for."""
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


class Lease(BaseLease):
    """A lease held by tasks; any task of the event loop may use it. It is had from `Lock.acquire()`."""

    __slots__ = ()
    _session: LoopSession

    def on_lost(self, callback: Callable[[Self], object]) -> None:
        """Have `callback(lease)` called once by the event loop when the lease is lost; at once if it is already.

        Raises:
            InvalidType: `callback` cannot be called, or is a coroutine function.
        """
        if inspect.iscoroutinefunction(callback):
            raise InvalidType(
                f"on_lost takes a plain function, not {callback!r}; start or cancel a task in it"
            )
        super().on_lost(callback)

    async def extend(self, ttl: float | None = None) -> None:
        """Extend the lease to `ttl` seconds from now, or by its own ttl; it is never made shorter.

        Raises:
            LeaseLost: it is lost.
            NotHeld: it was released.
            StoreError: the store failed or did not answer; the lease is as it was.
        """
        await arun(self._extending(None if ttl is None else check_ttl(ttl)))

    async def to_token(self) -> str:
        """Hand the lease over: return a token for `adopt`; see `ringfence.Lease.to_token`.

        Raises:
            InvalidValue: it is one entry of a reentrant lock, or the store's leases end with their process.
            LeaseLost: it is lost.
            NotHeld: it was released.
            StoreError: the store failed or did not answer; the lease is as it was.
        """
        return await arun(self._handing_over())

    async def release(self) -> bool:
        """Give the lock back; return whether it was still held. A second call returns False.

        Raises:
            StoreError: the store failed or did not answer. The lease is no longer valid or renewed; calling again
                tries again, and the ttl ends it anyway.
        """
        if self._is_done():
            return False
        deadline = self._end()
        try:
            return self._answer(await self._session.give_back_in_task(self._claim, deadline))
        except StoreError:
            return self._unanswered()


class Lock(BaseLock[Lease]):
    """A lock of `aio.LockManager.lock()`, for tasks and processes.

    ::

        async with manager.lock("report") as lease:
            await write(report, lease.fence)

    Leaving the block releases the lease; if it was lost in the meantime, leaving raises `LeaseLost`, unless another
    exception is under way. Blocks are left last in, first out, for each task by itself. A task that is cancelled
    while it waits does not hold the lock. It is not reentrant.
    """

    _lease = Lease
    _session: LoopSession

    def __init__(
        self, session: LoopSession, name: str, ttl: float, renew: bool, cancel_on_lost: bool = False
    ) -> None:
        super().__init__(session, name, ttl, renew)
        self._cancel_on_lost = bool(cancel_on_lost)
        self._blocks: weakref.WeakKeyDictionary[Lease, CancelOnLost] = weakref.WeakKeyDictionary()

    async def acquire(self, blocking: bool = True, timeout: float | None = None) -> Lease | None:
        """Take the lock; see `ringfence.Lock.acquire`.

        Returns:
            The lease, or None if another holder had the lock all the time. Keep it: one that nobody refers to is no
            longer renewed.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: the timeout is negative, or given beside `blocking=False`.
            StoreError: the store failed, or did not answer until the timeout; the lock is not held.
        """
        waits = None if blocking is True and timeout is None else check_timeout(blocking, timeout)
        return await self._acquire(waits)

    async def _acquire(self, timeout: float | None) -> Lease | None:
        """Do what `_acquiring` does, in this task."""
        granted = await self._session.take_in_task(self._name, self._ttl, timeout)
        if granted is None:
            return None
        try:
            return Lease(self._session, granted, self._renew)
        except BaseException:
            await arun(self._session.withdrawing(granted))
            raise

    async def info(self) -> Status:
        """Return who holds the lock, and who waits for it; see `ringfence.Lock.info`.

        Raises:
            StoreError: the store failed or did not answer.
        """
        return await arun(self._looking())

    async def __aenter__(self) -> Lease:
        lease = await self._acquire(None)
        assert lease is not None
        self._entered.push(asyncio.current_task(), lease)
        if self._cancel_on_lost:
            self._blocks[lease] = CancelOnLost(lease)
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lease = self._entered.pop(asyncio.current_task(), self._name)
        block = self._blocks.pop(lease, None) if self._cancel_on_lost else None
        lost = block is not None and block.leave(error)
        await self._leave(lease, error)
        if lost:
            raise LeaseLost(lease.name, lease.fence) from error

    async def _leave(self, lease: Lease, error: BaseException | None) -> None:
        if lease.was_released():
            return
        try:
            self._left(lease, await lease.release(), error)
        except StoreError as failure:
            self._left_unreleased(failure, error)
