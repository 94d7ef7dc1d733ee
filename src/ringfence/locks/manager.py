"""The way in: a manager makes locks on one store and keeps their leases."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from ringfence.errors import StoreError
from ringfence.locks.arguments import check_ttl
from ringfence.locks.lease import Lease
from ringfence.locks.lock import Lock
from ringfence.locks.naming import Naming, check_function
from ringfence.locks.opening import open_store
from ringfence.locks.recipes.barrier import Barrier
from ringfence.locks.recipes.election import Election
from ringfence.locks.recipes.handover import adopting
from ringfence.locks.recipes.multi import MultiLock
from ringfence.locks.recipes.once import Once
from ringfence.locks.recipes.rlock import Holders, RLock
from ringfence.locks.recipes.rwlock import RWLock
from ringfence.locks.recipes.semaphore import permit
from ringfence.locks.session import ThreadSession
from ringfence.locks.stores import Holder, LockStore
from ringfence.locks.stores.memory import MemoryStore
from ringfence.protocol import run

P = ParamSpec("P")
T = TypeVar("T")


class LockManager:
    """Makes locks on one store, renews their leases, and reports those that are lost.

    ::

        with LockManager.from_url("sqlite:///locks.db") as manager, manager.lock("report") as lease:
            ...

    It is safe to share between threads. Its two daemon threads start when there is something to watch or renew, and
    end with it; there is none per lock. In a forked child it holds nothing, whatever the parent holds; there it can
    be used afresh unless its SQLite file was open at the fork, which SQLite does not allow.

    Args:
        store: who arbitrates; the manager closes it in the end.
    """

    def __init__(self, store: LockStore) -> None:
        self._session = ThreadSession(store, remote=not isinstance(store, MemoryStore))
        self._holders = Holders()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open a manager on the store that a URL names.

        - `memory://` or `memory://name`: one store for everyone in this process who gives that name.
        - `sqlite:///path`: a file for the processes of one machine, made when missing.
        - `redis://`, `rediss://`, `unix://`: Redis or Valkey, with the options of redis-py; connected when first used.
        - `redis+sentinel://host:port,host:port/name`: the primary that Sentinels know by that name, whichever it is.
        - `redis+cluster://host:port,host:port`: a Redis Cluster, of which some nodes are named; or `rediss+cluster:`.
        - `redis+quorum://host:port,host:port,host:port`: a majority of independent servers; or `rediss+quorum:`.
        - `postgresql://`, `mariadb://`, `mysql://`: rows of a table in that database, which is made when missing; with
          `?mode=session` advisory locks, which end with the connection.
        - `etcd://host:port,host:port/prefix`, `etcds://` (TLS): etcd; its keys begin with the prefix, else `ringfence`.
        - `zookeeper://name:password@host:port,host:port/path?session=20`: ZooKeeper, where only the hosts have to be
          named; a lease lasts at most half of the session, which is in seconds.

        Raises:
            BackendUnavailable: the driver is not installed; the message names the extra that brings it.
            InvalidType: `url` is not a string.
            InvalidValue: it names no known store.
        """
        return cls(open_store(url))

    def lock(self, name: str, ttl: float = 10.0, renew: bool = True) -> Lock:
        """Return a lock; nothing is asked of the store yet.

        Args:
            name: 1 to 255 bytes in UTF-8.
            ttl: seconds after which a lease ends unless it is renewed, from 10 ms to a day.
            renew: whether leases are renewed, each third of the ttl, until they are released.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds.
        """
        return Lock(self._session, name, ttl, renew)

    def rwlock(self, name: str, ttl: float = 10.0, renew: bool = True) -> RWLock[Lock]:
        """Return a lock to read and one to write: many may read, or one may write, first come, first served.

        Args:
            name: as of `lock`, whose lock of this name is another; a semaphore of this name is not.
            ttl: as of `lock`.
            renew: as of `lock`.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds, or the store does not carry such locks.
        """
        return RWLock(self._session.store, name, lambda share: self.lock(share, ttl, renew))

    def semaphore(self, name: str, permits: int, ttl: float = 10.0, renew: bool = True) -> Lock:
        """Return a lock that `permits` may hold at once, each with a lease and a fence of its own.

        Args:
            name: as of `lock`, whose lock of this name is another; an rwlock of this name is not.
            permits: from 1 to 2**20. Who takes the semaphore with another number reckons with that one.
            ttl: as of `lock`.
            renew: as of `lock`.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds, or the store does not carry semaphores.
        """
        return self.lock(permit(self._session.store, name, permits), ttl, renew)

    def rlock(self, name: str, ttl: float = 10.0, renew: bool = True) -> RLock:
        """Return a reentrant lock: the thread that holds it may take it again, under the same fence.

        Args:
            name: as of `lock`.
            ttl: as of `lock`; of those who take it again, that of the first counts.
            renew: likewise.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds.
        """
        return RLock(self._holders, self._session, name, ttl, renew)

    def multi(self, names: Iterable[str], ttl: float = 10.0, renew: bool = True) -> MultiLock:
        """Return several locks as one: all of them are taken, or none.

        They are taken in the order of their names, so that nobody waits in a circle with others who do so. A thread
        that holds one of them by itself waits for itself.

        Args:
            names: each as of `lock`; one that is given twice is taken once.
            ttl: as of `lock`. Without renewal it has to outlast the waiting for all of them.
            renew: as of `lock`.

        Raises:
            InvalidType: an argument has the wrong type; a `str` is not several names.
            InvalidValue: an argument is out of bounds, or there is no name.
        """
        return MultiLock(self._session, names, ttl, renew)

    def election(self, name: str, value: str = "", ttl: float = 10.0) -> Election:
        """Return an election, to be a candidate in, or to see who leads.

        Args:
            name: as of `lock`; a lock of that name is the same lock.
            value: what everybody can see of the leader, such as its address: 64 bytes in UTF-8 at most.
            ttl: seconds after which a leader that died leads no more; a living one renews.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds.
        """
        return Election(self._session, name, value, ttl)

    def barrier(self, name: str, parties: int, ttl: float = 10.0) -> Barrier:
        """Return a barrier: nobody goes on before so many have come.

        Args:
            name: as of `lock`, and four bytes shorter; a semaphore of this name is the same lock.
            parties: how many have to come, from 1 to 2**20; the same for all of them.
            ttl: seconds after which a party that died counts no more.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds, or the store does not carry shared locks.
        """
        return Barrier(self._session, name, parties, ttl)

    def once(self, name: str, within: float, ttl: float = 10.0) -> Once:
        """Return something that one of all processes does, once within so many seconds.

        Args:
            name: as of `lock`, and five bytes shorter; a lock of this name is the same lock.
            within: seconds from the beginning, up to a year, in which nobody else does it when it was done.
            ttl: seconds after which another may try when the process that does it has died.

        Raises:
            InvalidType: an argument has the wrong type.
            InvalidValue: an argument is out of bounds, or the store forgets when a session ends.
        """
        return Once(self._session, name, within, ttl)

    def locked(
        self, name: str, ttl: float = 10.0, renew: bool = True
    ) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Decorate a function so that each call holds a lock; a call waits for it.

        ::

            @manager.locked("account:{number}")
            def pay(number, amount): ...

        Args:
            name: the lock; `{parameter}` stands for an argument of the call.
            ttl: as of `lock`.
            renew: as of `lock`.

        Raises:
            InvalidType: an argument has the wrong type, or a coroutine function is decorated.
            InvalidValue: an argument is out of bounds, or the name has a field that is no parameter.
        """
        check_ttl(ttl)

        def decorate(function: Callable[P, T]) -> Callable[P, T]:
            check_function(function, coroutine=False)
            naming = Naming(name, function)

            @functools.wraps(function)
            def call(*arguments: P.args, **named: P.kwargs) -> T:
                with self.lock(naming(*arguments, **named), ttl, renew):
                    return function(*arguments, **named)

            return call

        return decorate

    def adopt(self, token: str) -> Lease:
        """Take over the lease that `Lease.to_token` gave away, here or in another process, and renew it at once.

        Its fence, ttl and renewal are what they were. Of several that adopt one token, the first whose request
        reaches the store has the lease, and the others are refused. One whose answer is lost may be refused although
        nobody has it; then it ends with its ttl.

        Raises:
            InvalidType: the token is not a string.
            InvalidValue: it is none, or this store's leases cannot be handed over.
            LeaseLost: it was adopted before, or its lease is over, or is not one of this store.
            StoreError: the store failed or did not answer; the lease is nobody's then, and ends with its ttl.
        """
        return run(adopting(self._session, token, Lease))

    def leases(self) -> list[Holder]:
        """Return all locks of the store that are held, by whomever.

        Raises:
            StoreError: the store failed or did not answer.
        """
        return self._session.store.leases()

    def close(self) -> None:
        """Release every lease that is still held, stop the threads and close the store. Twice is harmless.

        Raises:
            StoreError: a lease could not be released, and its ttl will end it; all else is closed all the same.
        """
        self._session.stop()
        try:
            self._release_all()
        finally:
            self._session.close()
            self._session.store.close()

    def _release_all(self) -> None:
        failures = []
        for lease in self._session.held():
            try:
                run(lease._releasing())
            except StoreError as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
