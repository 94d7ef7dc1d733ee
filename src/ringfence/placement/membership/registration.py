"""Registrations: a node says that it is there, and goes on saying so."""

from __future__ import annotations

import math
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from ringfence._report import report
from ringfence.errors import InvalidType, StoreDamaged, StoreError
from ringfence.placement.membership.sources import Entry, Registry, Standing
from ringfence.placement.node import Node

LONGEST_WAIT = 1.0
"""Seconds after which due times are looked at again: timed waits stand still while the machine sleeps."""


class Registration:
    """A node that is registered under a lease, renewed after each third of its ttl until it is closed.

    It is had from `Membership.register()`. If the source drops it, because this process was paused for longer than
    the ttl or because the source lost its data, it registers again under a greater fence. If another registrant takes
    its name, the newer one wins: this one is `replaced` and ends. Both are told to `on_lost`.

    Attributes:
        error: why the last renewal failed, or None; it is tried again.
    """

    def __init__(self, registrar: Registrar, entry: Entry) -> None:
        self.error: Exception | None = None
        self._registrar = registrar
        self._process = os.getpid()
        self._callbacks: list[Callable[[Registration], object]] = []
        self._entry = entry
        self._deadline = self._due = -math.inf
        self._replaced = False
        self._unsure = False  # it was registered again, perhaps, under a fence that did not arrive

    @property
    def node(self) -> Node:
        """The node that is registered."""
        return self._entry.node

    @property
    def ttl(self) -> float:
        """Seconds after which it is dropped unless it is renewed."""
        return self._entry.ttl

    @property
    def fence(self) -> int:
        """The number the source gave to the registration; each later one of this name has a greater one."""
        return self._entry.fence

    @property
    def replaced(self) -> bool:
        """Whether another registrant has taken the name; then this one has ended."""
        return self._replaced

    @property
    def active(self) -> bool:
        """Whether it stands, as far as can be known here and now: renewed within its ttl, and not ended."""
        return self._process == os.getpid() and self._registrar.clock() < self._deadline

    def on_lost(self, callback: Callable[[Registration], object]) -> None:
        """Have `callback(registration)` called when the source no longer knows it; see `replaced` for why.

        It is called by the renewing thread, and should be short. What it raises goes to `threading.excepthook`.

        Raises:
            InvalidType: `callback` cannot be called.
        """
        if not callable(callback):
            raise InvalidType(f"on_lost takes a function of the registration, not {callback!r}")
        self._callbacks.append(callback)

    def close(self) -> None:
        """Take the node out at once. Twice is harmless, and so is a forked child's.

        Raises:
            StoreError: the source failed or did not answer; the ttl will end the registration.
        """
        if self._process == os.getpid():
            self._registrar.leave(self)

    def held(self, fence: int, sent: float) -> None:
        """Take note of a grant or renewal that was asked for at `sent`."""
        self.error = None
        self._unsure = False
        self._entry = self._entry._replace(fence=fence)
        self._deadline, self._due = sent + self.ttl, sent + self.ttl / 3

    def failed(self, error: Exception, sent: float) -> None:
        """Take note that there was no good answer; it is asked again in a while."""
        self.error = error
        self._due = sent + min(self.ttl / 20, 1.0)

    def unanswered(self, error: Exception, sent: float) -> None:
        """Take note that it may have been registered again; it is asked for its fence in a while."""
        self.failed(error, sent)
        self._unsure = True

    def lost(self) -> bool:
        """Take note that the source no longer knows it; say whether that is news."""
        news = self._deadline > -math.inf
        self._deadline = -math.inf
        return news

    def end(self, replaced: bool = False) -> None:
        """Take note that it is over."""
        self._replaced = replaced
        self._deadline, self._due = -math.inf, math.inf

    def tell(self) -> None:
        """Tell those who want to know that it was lost."""
        for callback in self._callbacks:
            try:
                callback(self)
            except Exception:
                report()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "active" if self.active else "replaced" if self._replaced else "not active"
        return f"<Registration of {self.node.name!r} fence={self.fence} {state}>"


class Registrar:
    """Renews all registrations of a membership, in batches and by one daemon thread.

    Args:
        source: with whom nodes are registered.
        clock: seconds.
    """

    def __init__(self, source: Registry, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._source = source
        self._registrations: list[Registration] = []
        self._lock = threading.RLock()  # one request at a time, so that nothing is renewed while it leaves
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def register(self, node: Node, ttl: float) -> Registration:
        """Register a node; it is renewed once the thread runs."""
        registration = Registration(self, Entry(node, uuid.uuid4().hex, ttl))
        with self._lock:
            if self._closed:
                raise StoreError("the membership was closed; open a new one to register nodes")
            sent = self.clock()
            fence = self._source.enter(registration._entry)
            assert fence is not None  # a first registration replaces whoever has the name
            registration.held(fence, sent)
            self._registrations.append(registration)
        self._wake.set()
        return registration

    def start(self) -> None:
        """Start the thread, if it does not run."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._keep, name="ringfence-membership-renew", daemon=True
                )
                self._thread.start()

    def leave(self, registration: Registration) -> None:
        """Take a registration out, if it has not ended."""
        with self._lock:
            if registration in self._registrations:
                self._registrations.remove(registration)
                registration.end()
                self._source.leave(registration._entry)

    def renew_due(self) -> None:
        """Renew what is due, register again what was dropped, and end what was replaced."""
        with self._lock:
            now = self.clock()
            due = [registration for registration in self._registrations if registration._due <= now]
            lost = self._renew(due, now) if due else []
        for registration in lost:
            registration.tell()

    def close(self) -> None:
        """Take out all registrations and stop the thread; raises the first error when all is done."""
        failures = []
        with self._lock:  # so that one who registers is in the list, or comes too late
            self._closed = True
        for registration in list(self._registrations):
            try:
                self.leave(registration)
            except StoreError as failure:
                failures.append(failure)
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if failures:
            raise failures[0]

    def _renew(self, due: Sequence[Registration], now: float) -> list[Registration]:
        try:
            standings = self._source.renew([registration._entry for registration in due])
        except StoreDamaged as error:
            if len(due) > 1:  # what stands under one name shall not keep the others from being renewed
                return [gone for registration in due for gone in self._renew([registration], now)]
            due[0].failed(error, now)
            return []
        except Exception as error:
            for registration in due:
                registration.failed(error, now)
            return []
        lost = []
        for registration, standing in zip(due, standings, strict=True):
            if standing is not Standing.HELD and registration.lost():
                lost.append(registration)
            if standing is Standing.REPLACED:
                self._end(registration)
            elif standing is Standing.LOST or registration._unsure:
                self._enter_again(registration)
            else:
                registration.held(registration.fence, now)
        return lost

    def _enter_again(self, registration: Registration) -> None:
        sent = self.clock()
        try:
            fence = self._source.enter(registration._entry)
        except Exception as error:
            registration.unanswered(error, sent)
            return
        if fence is None:
            self._end(registration)
        else:
            registration.held(fence, sent)

    def _end(self, registration: Registration) -> None:
        self._registrations.remove(registration)
        registration.end(replaced=True)

    def _keep(self) -> None:
        while not self._closed:
            self.renew_due()
            self._wake.wait(self._patience())
            self._wake.clear()

    def _patience(self) -> float:
        due = min((registration._due for registration in list(self._registrations)), default=math.inf)
        return min(max(due - self.clock(), 0.0), LONGEST_WAIT)
