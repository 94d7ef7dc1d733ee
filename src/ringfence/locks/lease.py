"""A lease: what one holds of a lock, for a time, under a fence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from ringfence.errors import InvalidType, LeaseLost, NotHeld, StoreError
from ringfence.locks import rules
from ringfence.locks.acquire import Granted
from ringfence.locks.arguments import check_ttl
from ringfence.locks.recipes import handover
from ringfence.locks.renewal import extend
from ringfence.locks.session import Session
from ringfence.protocol import Effects, now, run


class BaseLease:
    """What leases of threads and of tasks have in common: all that needs no I/O.

    A lease is valid from its grant until it is released or lost. It is lost at its deadline, `ttl` seconds after the
    last grant or renewal was asked for, or when the store says that it is no longer held. It is never valid in a
    forked child. One that nobody refers to any more is no longer renewed.
    """

    __slots__ = (
        "__weakref__",
        "_answered",
        "_callbacks",
        "_claim",
        "_ended",
        "_lock",
        "_lost",
        "_renew",
        "_session",
        "_table",
    )

    def __init__(self, session: Session, granted: Granted, renew: bool) -> None:
        self._session = session
        self._table = session.table  # a forked child has another
        self._claim = granted.claim
        self._renew = renew
        self._callbacks: tuple[Callable[[Self], object], ...] = ()
        self._lost = False
        self._ended: float | None = None  # the deadline it had when its release was asked for
        self._answered = False
        self._lock = threading.Lock()
        session.keep(self, granted, renew)

    @property
    def name(self) -> str:
        """The name of the lock."""
        return self._claim.name

    @property
    def owner(self) -> str:
        """The id under which the store knows the holder; with the fence it is that of this acquisition alone."""
        return self._claim.owner

    @property
    def fence(self) -> int:
        """The number the store issued with the grant; each later grant has a greater one."""
        return self._claim.fence + self._claim.handed

    @property
    def ttl(self) -> float:
        """Seconds for which each renewal extends the lease."""
        return self._claim.ttl

    @property
    def valid(self) -> bool:
        """Whether the lease is held, as far as can be known here and now; a guard knows better."""
        return self.remaining() > 0

    def remaining(self) -> float:
        """Return the seconds until the deadline; 0 when the lease was lost or released."""
        if self._ended is not None:
            return 0.0
        return max(0.0, self._session.table.deadline(self._claim) - now())

    def check(self) -> None:
        """Return if the lease is valid.

        Raises:
            LeaseLost: it is lost.
            NotHeld: it was released.
        """
        if self.valid:
            return
        if self._ended is not None and not self._lost:
            raise NotHeld(self.name)
        raise LeaseLost(self.name, self.fence)

    def on_lost(self, callback: Callable[[Self], object]) -> None:
        """Have `callback(lease)` called once when the lease is lost; at once if it is lost already.

        It is called by a thread of the manager (with asyncio: by the event loop) and should be short: it may hold up
        the callbacks of other leases. What it raises is reported to `threading.excepthook` (with asyncio: to the
        loop's exception handler). It is never called for a lease that was released in time.

        Raises:
            InvalidType: `callback` cannot be called.
        """
        if not callable(callback):
            raise InvalidType(f"on_lost takes a function of the lease, not {callback!r}")
        with self._lock:
            if not self._lost:
                self._callbacks = (*self._callbacks, callback)
                return
        callback(self)

    def __repr__(self) -> str:
        state = f"{self.remaining():.3f} s" if self.valid else "lost" if self._is_lost() else "released"
        return f"<{type(self).__name__} {self.name!r} fence={self.fence} {state}>"

    def _lose(self) -> None:
        """Call the callbacks, the first time this is called."""
        with self._lock:
            self._lost = True
            callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            self._session.call(callback, self)

    def was_released(self) -> bool:
        """Return whether `release` was called."""
        return self._ended is not None

    def _is_lost(self) -> bool:
        return self._lost or (self._ended is None and not self.valid)

    def _extending(self, ttl: float | None) -> Effects[None]:
        self.check()
        seconds = self.ttl if ttl is None else ttl
        held = yield from extend(self._session.store, self._session.table, self._claim, seconds, self._renew)
        self._session.notice(self._table.next_due())
        if not held:
            self._session.lose([self._claim])
            self.check()

    def _releasing(self) -> Effects[bool]:
        if self._is_done():
            return False
        deadline = self._end()
        try:
            return self._answer((yield from self._session.releasing(self._claim, deadline)))
        except StoreError:
            return self._unanswered()

    def _is_done(self) -> bool:
        """Return whether there is nothing left to release here: it was done, or is a parent process's to do."""
        return self._answered or self._table is not self._session.table

    def _answer(self, held: bool) -> bool:
        self._answered = True
        return held and not self._lost

    def _handing_over(self) -> Effects[str]:
        store = self._session.store
        self.check()
        token = yield from handover.offer(store, self._claim, self._renew, self.remaining())
        if self._part():
            return handover.written(token)
        yield from handover.take_back(store, token)
        self.check()
        raise NotHeld(self.name)

    def _part(self) -> bool:
        """End this and leave the lease in the store to another; False if it was over, or being released."""
        with self._lock:
            if self._ended is not None:
                return False
            deadline = self._session.part(self._claim)
            if not rules.is_over(deadline, now()):
                self._ended, self._answered = deadline, True
                return True
        self._lose()
        return False

    def _unanswered(self) -> bool:
        """Raise the error under way, unless the lease is over anyway."""
        if not self._lost:
            raise
        return self._answer(False)

    def _end(self) -> float:
        with self._lock:
            if self._ended is not None:
                return self._ended
            self._ended = self._session.forget(self._claim)
        if rules.is_over(self._ended, now()):
            self._lose()
        return self._ended


class Lease(BaseLease):
    """A lease held by threads; any thread may use it.

    Attributes are those of the lock it was taken from. It is had from `Lock.acquire()` or `with lock as lease`.
    """

    __slots__ = ()

    def extend(self, ttl: float | None = None) -> None:
        """Extend the lease to `ttl` seconds from now, or by its own ttl; it is never made shorter.

        Raises:
            LeaseLost: it is lost.
            NotHeld: it was released.
            StoreError: the store failed or did not answer; the lease is as it was.
        """
        run(self._extending(None if ttl is None else check_ttl(ttl)))

    def to_token(self) -> str:
        """Hand the lease over: return a token with which another thread, task or process adopts it.

        This lease ends here, as if released: it is neither renewed nor reported as lost. Whoever passes the token to
        `adopt` of a manager on the same store, before the lease ends there, holds it from then on, under the same
        fence. That is one adopter at most. Until then nobody renews it: `extend` it before, if that may take long.

        Raises:
            InvalidValue: it is one entry of a reentrant lock, or the store's leases end with their process.
            LeaseLost: it is lost.
            NotHeld: it was released.
            StoreError: the store failed or did not answer; the lease is as it was.
        """
        return run(self._handing_over())

    def release(self) -> bool:
        """Give the lock back; return whether it was still held. A second call returns False.

        Raises:
            StoreError: the store failed or did not answer. The lease is no longer valid or renewed; calling again
                tries again, and the ttl ends it anyway.
        """
        return self._release()

    def _release(self) -> bool:
        """Do what `_releasing` does, in this thread."""
        if self._is_done():
            return False
        deadline = self._end()
        try:
            return self._answer(self._session.give_back(self._claim, deadline))
        except StoreError:
            return self._unanswered()
