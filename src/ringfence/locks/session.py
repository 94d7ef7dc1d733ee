"""What keeps the leases of one manager: two threads for all of them, started when there is something to do.

One thread watches the deadlines and never waits for a store, so a lease is reported as lost at its deadline even
while the store hangs. The other renews what is due, in batches.
"""

from __future__ import annotations

import functools
import math
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from ringfence._core.leases import LeaseTable, new_owner
from ringfence._forks import tell_of_forks
from ringfence._report import report
from ringfence.errors import StoreError
from ringfence.locks import at_once
from ringfence.locks.acquire import Granted, acquire, release, withdraw
from ringfence.locks.cohort import Cohort
from ringfence.locks.renewal import keep, renew
from ringfence.locks.stores import Claim, LockStore, Shared
from ringfence.locks.waiter import ThreadWaiter
from ringfence.protocol import Effects, now, run

if TYPE_CHECKING:
    from ringfence.locks.lease import BaseLease

LONGEST_WAIT = 1.0
"""Seconds after which deadlines are looked at again: timed waits stand still while the machine sleeps."""


class Session:
    """The leases a manager holds, and who to tell when one is lost; leases are referred to weakly.

    Args:
        store: who arbitrates.
        remote: whether others than this process use the store; then those who wait here form a cohort.

    Attributes:
        store: the store that granted them.
        table: their deadlines.
        closed: whether the manager was closed.
    """

    _waiter: Callable[[], object] = ThreadWaiter

    def __init__(self, store: LockStore, remote: bool) -> None:
        self.store = store
        self.closed = False
        self._remote = remote
        self._start()
        tell_of_forks(self)
        if hasattr(store, "on_lost"):
            store.on_lost = functools.partial(told, weakref.ref(self))

    def _start(self) -> None:
        self.table = LeaseTable()
        self._leases: dict[Claim, weakref.ref[BaseLease]] = {}
        self._cohort = self._gathered()

    def forked(self) -> None:
        """Hold nothing, in a forked child: the leases are the parent's."""
        self._start()

    def check_open(self) -> None:
        """Raise `StoreError` after `close`."""
        if self.closed:
            raise StoreError("the lock manager was closed; open a new one")

    def _gathered(self) -> Cohort | None:
        return Cohort(self.store, self.table, self._waiter) if self._remote else None

    def acquiring(self, name: str, ttl: float, timeout: float | None) -> Effects[Granted | None]:
        """Take a lock, within the process where that can be."""
        self.check_open()
        cohort = self._cohort_for(name)
        if cohort is None:
            return acquire(self.store, name, new_owner(), ttl, timeout, check=self.check_open)
        return cohort.acquire(name, new_owner(), ttl, timeout, self.check_open)

    def take(self, name: str, ttl: float, timeout: float | None) -> Granted | None:
        """Do what `acquiring` does, in this thread."""
        if self.closed:
            self.check_open()
        cohort = self._cohort_for(name)
        if cohort is None:
            return at_once.take(self.store, name, new_owner(), ttl, timeout, self.check_open)
        return cohort.take(name, new_owner(), ttl, timeout, self.check_open)

    def releasing(self, claim: Claim, deadline: float) -> Effects[bool]:
        """Give a lock back, or hand it on within the process."""
        cohort = self._cohort_for(claim.name)
        return release(self.store, claim, deadline) if cohort is None else cohort.release(claim, deadline)

    def give_back(self, claim: Claim, deadline: float) -> bool:
        """Do what `releasing` does, in this thread."""
        cohort = self._cohort_for(claim.name)
        if cohort is None:
            return at_once.give_back(self.store, claim, deadline)
        return cohort.give_back(claim, deadline)

    def withdrawing(self, granted: Granted) -> Effects[None]:
        """Give back a grant that was not used."""
        cohort = self._cohort_for(granted.claim.name)
        if cohort is None:
            return withdraw(self.store, granted.claim.name, granted.claim.owner)
        return cohort.withdraw(granted)

    def _cohort_for(self, name: str) -> Cohort | None:
        """Return those who wait here together; a shared lock is always the store's to grant."""
        return None if isinstance(name, Shared) else self._cohort

    def stop(self) -> None:
        """Grant nothing any more, and let those who wait end with an error."""
        self.closed = True
        if self._cohort is not None:
            self._cohort.close()

    def keep(self, lease: BaseLease, granted: Granted, renew: bool) -> None:
        """Take in a new lease."""
        if self.closed:
            self.check_open()
        self._leases[granted[0]] = weakref.ref(lease)
        self.notice(keep(self.table, granted, renew))

    def forget(self, claim: Claim) -> float:
        """Take out a lease, and return its deadline; minus infinity if it was out already."""
        self._leases.pop(claim, None)
        return self.table.pop(claim)

    def part(self, claim: Claim) -> float:
        """Take out a lease that is handed over, let those who wait here ask the store, and return its deadline."""
        deadline = self.forget(claim)
        if self._cohort is not None:
            self._cohort.lose(claim)
        return deadline

    def held(self) -> list[BaseLease]:
        """Return the leases that are neither released nor lost."""
        held = [lease() for lease in self._leases.copy().values()]
        return [lease for lease in held if lease is not None]

    def lose(self, claims: Iterable[Claim]) -> None:
        """Report leases as lost, and let those who wait here ask the store."""
        for claim in claims:
            found = self._leases.pop(claim, None)
            if self._cohort is not None:
                self._cohort.lose(claim)
            if found is not None and (lease := found()) is not None:
                lease._lose()

    def lose_at_once(self, claims: Sequence[Claim] | None) -> None:
        """End leases that the store says are lost, all of them where it says None, and see to it that it is reported.

        Any thread may call this, that of a driver too: no callback is called from here.
        """
        moment = now()
        lost = None if claims is None else {claim[:3] for claim in claims}  # as the store knows them
        for claim in self.table.leases():
            if lost is None or claim[:3] in lost:
                self.table.add(claim, moment)
        self.notice_from_outside(moment)

    def wanted(self, claims: Sequence[Claim]) -> list[Claim]:
        """Return the leases that someone still refers to; the others are left to their ttl."""
        wanted = [claim for claim in claims if self._leases.get(claim, _nobody)() is not None]
        for claim in set(claims).difference(wanted):
            self.forget(claim)
        return wanted

    def notice(self, due: float) -> None:
        """See to it that what is due then is done in time."""
        raise NotImplementedError

    def notice_from_outside(self, due: float) -> None:
        """Do so from a thread that may be none of this session's."""
        self.notice(due)

    def call(self, callback: Callable[..., object], lease: BaseLease) -> None:
        """Call back about a lost lease, and report what that raises."""
        raise NotImplementedError


class ThreadSession(Session):
    """A session kept by two daemon threads, which end with it."""

    def _start(self) -> None:
        super()._start()
        self._alarm = Alarm()
        self._due: queue.SimpleQueue[list[Claim]] = queue.SimpleQueue()
        self._watcher: threading.Thread | None = None
        self._renewer: threading.Thread | None = None
        self._starting = threading.Lock()
        self._finalizer = weakref.finalize(self, stop, self._alarm, self._due)

    def forked(self) -> None:
        """Hold nothing, and have no threads, in a forked child."""
        self._finalizer.detach()
        super().forked()

    def notice(self, due: float) -> None:
        """Start the watching thread, or wake it if it would not look again before something is due."""
        if self._watcher is None:
            with self._starting:
                if self._watcher is None:
                    self._watcher = self._thread(watch, "watch", self._alarm)
        if due < self._alarm.until:
            self._alarm.ring_before(due)

    def tick(self) -> None:
        """Report the lost leases, and hand those to renew to the renewing thread."""
        due, lost = self.table.due(now())
        if due:
            self._due.put(due)
            self._renewer = self._renewer or self._thread(keep_renewing, "renew", self._due)
        self.lose(lost)

    def renew(self, claims: list[Claim]) -> None:
        """Renew leases, and report those the store no longer knows."""
        try:
            self.lose(run(renew(self.store, self.table, self.wanted(claims))))
        finally:
            self.notice(self.table.next_due())

    def call(self, callback: Callable[..., object], lease: BaseLease) -> None:
        """Call back about a lost lease; what that raises goes to `threading.excepthook`."""
        try:
            callback(lease)
        except BaseException:
            report()

    def close(self) -> None:
        """Stop the threads."""
        self.closed = True
        self._finalizer()

    def _thread(self, work: Callable[..., None], task: str, wait: object) -> threading.Thread:
        name = f"ringfence-locks-{task}"
        thread = threading.Thread(target=work, args=(weakref.ref(self), wait), name=name, daemon=True)
        thread.start()
        return thread


class Alarm:
    """A wait of one thread that others can cut short.

    Attributes:
        until: when the waiting thread will look again; it is awake at minus infinity.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.until = -math.inf
        self._idle = False  # nothing was due when it looked last, and nobody rang
        self._stopped = False

    def wait(self, next_due: Callable[[], float]) -> None:
        """Wait until something is due; where nothing is, look once more before waiting to be rung for.

        So a lock that is taken and freed over and over does not wake this thread each time.
        """
        with self._condition:
            self.until = math.inf  # so that whoever looks at it now waits for the next line
            due, moment = next_due(), now()
            self.until = math.inf if self._idle and due == math.inf else min(due, moment + LONGEST_WAIT)
            rung = False
            if self.until > moment and not self._stopped:
                rung = self._condition.wait(self.until - moment if self.until < math.inf else None)
            self._idle = due == math.inf and not rung
            self.until = -math.inf

    def ring_before(self, due: float) -> None:
        """End the wait if it would last beyond `due`."""
        if due >= self.until:
            return
        with self._condition:
            if due < self.until:
                self._condition.notify_all()

    def stop(self) -> None:
        """End this wait and all later ones."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()


class Ticking(Protocol):
    """What has something to do now and then."""

    closed: bool
    table: LeaseTable

    def tick(self) -> None:
        """Do what is due."""


def watch(ticking: weakref.ref[Ticking], alarm: Alarm) -> None:
    """Tick whenever something is due, for as long as what ticks lives."""
    while (alive := ticking()) is not None and not alive.closed:
        alive.tick()
        next_due = alive.table.next_due
        del alive
        alarm.wait(next_due)


def keep_renewing(session: weakref.ref[ThreadSession], due: queue.SimpleQueue[list[Claim]]) -> None:
    """Renew what is handed over; an empty list ends it."""
    while claims := due.get():
        while not due.empty():
            claims += due.get()
        if (alive := session()) is None or alive.closed:
            break
        try:
            alive.renew(claims)
        except Exception:
            report()
        del alive
    due.put([])  # for another one: an interrupt while a thread starts makes the session start a second


def stop(alarm: Alarm, due: queue.SimpleQueue[list[Claim]]) -> None:
    """Let the threads of a session end."""
    alarm.stop()
    due.put([])


def told(session: weakref.ref[Session], claims: Sequence[Claim] | None) -> None:
    """Pass on what a store says is lost, if the session still lives."""
    alive = session()
    if alive is not None and not alive.closed:
        alive.lose_at_once(claims)


def _nobody() -> None:
    """Stand for the reference to a lease that is not kept."""
