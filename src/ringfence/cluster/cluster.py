"""The three together: a ring that says where, locks that say who, and transactions that say whether."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import chain
from types import TracebackType
from typing import Self, TypeVar, overload

from ringfence.cluster import listing, single
from ringfence.cluster.entries import FIRST, Key, StoredKey, Value, checked, original
from ringfence.cluster.joint import begin
from ringfence.cluster.opening import check_known, open_cluster
from ringfence.cluster.rebalance import COORDINATOR, Mover, Rebalance, rebalance
from ringfence.cluster.shards import Shard
from ringfence.cluster.shards.opening import Given, open_shard
from ringfence.cluster.state import RingState
from ringfence.cluster.transaction import ClusterTransaction
from ringfence.cluster.view import View, refresh
from ringfence.errors import InvalidType, InvalidValue
from ringfence.locks.manager import LockManager
from ringfence.placement import HashRing
from ringfence.protocol import run
from ringfence.transactions import decisions as decision_stores
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.gid import Gid
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant
from ringfence.transactions.recovery import Recovery

D = TypeVar("D")

LOCK = "rebalance"
"""The lock that a rebalancer holds."""

BRIEFLY = 2.0
"""Seconds for which a recovery that dies can keep the next rebalancer waiting."""


class Cluster:
    """Keys and values spread over shards by a ring, with transactions over several shards and safe rebalancing.

    Keys are `str`, `bytes` or `int` (0 <= key < 2**64), and keys of different types are different keys; values are
    `str` or `bytes`. Safe to share between threads. Every write is durable when it returns.

    The first opening writes the ring to its shards; later ones read it from there.

    Args:
        shards: every shard that may be used, by its name in the ring: `sqlite:///path`, `postgresql://…` (a database
            of its own), `redis://…?tag=name`, `memory://` (its own), `memory://name` (one per name and process), or a
            participant.
        decisions: URL of the store that decides transactions, or such a store; the same for all clients.
        locks: URL of the store of the rebalance lock, or a `LockManager`; the same for all clients.
        ring: which shards are used, and how; all of them alike if not given. Needed at the first opening only.
        name: names this client's transactions. Clients at work at the same time need different names; one that takes
            over from a dead client takes its name, and settles what that one left behind.
        timeout: seconds to wait for a shard that is locked or in doubt.

    Raises:
        InvalidValue: an argument is wrong, or contradicts the ring that the shards have.
        UnknownNode: the ring has a node that is not in `shards`.
        StoreDamaged: a shard is not what it should be.
        BackendUnavailable: a file cannot be opened.
    """

    def __init__(
        self,
        shards: Mapping[str, Given],
        *,
        decisions: str | DecisionStore,
        locks: str | LockManager,
        ring: HashRing | None = None,
        name: str = "main",
        timeout: float = 5.0,
    ) -> None:
        check_arguments(shards, ring, name, timeout)
        with ExitStack() as closing:
            opened = {shard: open_shard(shard, given, timeout, closing) for shard, given in shards.items()}
            check_distinct(opened)
            if isinstance(decisions, str):
                decisions = decision_stores.from_url(decisions, timeout)
                closing.callback(decisions.close)
            if isinstance(locks, str):
                locks = LockManager.from_url(locks)
                closing.callback(locks.close)
            self._locks = locks
            first = HashRing(sorted(opened)) if ring is None else ring
            coordinator = Coordinator(name, decisions, participants_of(opened))
            self._view = View(opened, coordinator, timeout, RingState(first))
            if self._left_prepared_by(name):
                run(coordinator.recover())
            run(open_cluster(self._view, ring))
            self._closing = closing.pop_all()

    @property
    def ring(self) -> HashRing:
        """The ring that this client goes by; derive the next one from it."""
        return self._view.state.ring

    @property
    def migrating(self) -> bool:
        """Were keys being moved when this client last looked? `refresh` looks again."""
        return self._view.state.previous is not None

    @property
    def shards(self) -> tuple[str, ...]:
        """The names of all known shards."""
        return tuple(self._view.shards)

    @overload
    def get(self, key: Key) -> Value | None: ...
    @overload
    def get(self, key: Key, default: D) -> Value | D: ...
    def get(self, key: Key, default: object = None) -> object:
        """Return the value of `key`, or `default` when there is no such key.

        Raises:
            InvalidType: the key is not a str, bytes or int.
            InvalidValue: an integer outside 0 <= key < 2**64.
            StoreTimeout: the shard stayed locked.
            InDoubt: a transaction that was prepared on the shard has not been resolved; `recover` does it.
        """
        found = run(single.get(self._view, key))
        return default if found is None else found

    def put(self, key: Key, value: Value) -> None:
        """Store `value` under `key`, durably.

        Raises:
            InvalidType, InvalidValue: the key or value is not one that can be stored.
            StoreTimeout, Aborted: nothing happened; it may be tried again.
            InDoubt: a transaction that was prepared on the shard has not been resolved, and nothing happened; or,
                when the gid is of this client and keys are being moved, this is the one in doubt.
            OutcomeUnknown: the disk failed; it may or may not have happened.
        """
        run(single.put(self._view, key, checked(value)))

    def delete(self, key: Key) -> bool:
        """Delete `key`, durably; was there such a key? Raises as `put`."""
        return run(single.delete(self._view, key))

    def keys(self) -> Iterator[Key]:
        """Iterate over all keys, each once, also while they are being moved.

        A key that is there all the time is listed; one put or deleted meanwhile may be or not.
        """
        after: StoredKey = FIRST
        more = True
        while more:
            kept, more = run(listing.stretch(self._view, after))
            yield from map(original, kept)
            after = kept[-1] if kept else after

    @contextmanager
    def transaction(self) -> Iterator[ClusterTransaction]:
        """Get, put and delete several keys atomically; leaving the block commits, an exception rolls back.

        Raises:
            StaleRing: the ring changed, and nothing happened; run the block again.
            Aborted, StoreTimeout: nothing happened; run it again.
            InDoubt: the outcome is not known yet.
        """
        transaction = ClusterTransaction(self._view, run(begin(self._view, self._view.state)))
        try:
            yield transaction
        except BaseException:
            if not transaction.over:
                transaction.rollback()
            raise
        if not transaction.over:
            transaction.commit()

    def rebalance(
        self,
        ring: HashRing | None = None,
        *,
        ttl: float = 10.0,
        progress: Callable[[Rebalance], None] | None = None,
    ) -> Rebalance:
        """Move the keys to where `ring` puts them; clients may go on reading and writing.

        It holds a lock, and waits while another rebalancer holds it. After a crash, at whatever step, call it again
        in any process: it settles what was left in doubt and goes on. A migration that is under way is finished
        first, and is all there is to do when no ring is given.

        Args:
            ring: derived from `cluster.ring`; its nodes must be known shards (see `add_shard`).
            ttl: seconds after which the lock of a dead rebalancer is free.
            progress: called after every batch with the report so far.

        Returns:
            What was moved.

        Raises:
            StaleRing: the shards have moved on to a newer ring than `ring`.
            InvalidValue: they have another ring of the same epoch, a shard that is to join holds keys, or `ring` hashes
                keys by a function of its own.
            UnknownNode: `ring` has a node that is no known shard.
            LeaseLost, FenceRejected: this process was paused and another has taken over.
            StoreTimeout, InDoubt, Aborted: a shard is locked or in doubt for too long; call it again.
        """
        if ring is not None:
            check_ring(ring)
            check_known(ring.nodes, self._view.shards)
        with self._locks.lock(LOCK, ttl=ttl) as lease:
            own = self._view.coordinator
            coordinator = Coordinator(COORDINATOR, own.decisions, own.participants)
            run(coordinator.recover())
            view = View(self._view.shards, coordinator, self._view.timeout, self._view.state)
            try:
                return run(rebalance(Mover(view, lease, progress or _ignore), ring))
            finally:
                self._view.state = view.state

    def add_shard(self, name: str, shard: Given) -> None:
        """Make a shard known, so that a new ring can use it: `rebalance(cluster.ring.with_node(name))`.

        Args:
            name: its name in the ring.
            shard: as for `Cluster`.
        """
        check_shard_name(name)
        if name in self._view.shards:
            raise InvalidValue(f"shard {name!r} is known already")
        with ExitStack() as closing:
            opened = {**self._view.shards, name: open_shard(name, shard, self._view.timeout, closing)}
            check_distinct(opened)
            self._closing.push(closing.pop_all())
        self._view.shards = opened
        self._view.coordinator.participants = participants_of(opened)

    def refresh(self) -> HashRing:
        """Take over the newest ring that the shards have; operations do so by themselves when they must."""
        run(refresh(self._view))
        return self.ring

    def recover(self, name: str | None = None) -> Recovery:
        """Resolve what dead clients left in doubt, and say what was done.

        Args:
            name: of a client that is dead. If not given: this client's own name; and what a rebalancer left, if none
                is at work now.
        """
        if name in (None, self._view.coordinator.name):
            self._view.start()
        report = run(self._view.coordinator.recover(name))
        if name is None and self._left_prepared_by(COORDINATOR):
            self._recover_rebalancer(report)
        return report

    def outcome(self, gid: str) -> Outcome:
        """What became of a transaction: "committed", "aborted", or "in doubt" while it may still be at work.

        Raises:
            InvalidValue: not a gid, or not one of this cluster's decision store.
            StoreError: a store cannot be reached.
        """
        return run(self._view.coordinator.outcome(gid))

    def close(self) -> None:
        """Give back files and connections. Closing twice is harmless."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Cluster {self._view.coordinator.name!r} of {len(self.ring)} shards, ring epoch {self.ring.epoch}>"

    def _recover_rebalancer(self, report: Recovery) -> None:
        lease = self._locks.lock(LOCK, ttl=BRIEFLY).acquire(blocking=False)
        if lease is None:
            return
        try:
            done = run(self._view.coordinator.recover(COORDINATOR))
        finally:
            lease.release()
        report.resolved += done.resolved
        report.unresolved += done.unresolved

    def _left_prepared_by(self, name: str) -> bool:
        prepared = (shard.participant.recover() for shard in self._view.shards.values())
        return any(Gid.parse(gid).name == name for gid in chain.from_iterable(prepared))


def participants_of(shards: Mapping[str, Shard]) -> dict[str, Participant]:
    """What keeps the branches of each shard."""
    return {name: shard.participant for name, shard in shards.items()}


def check_arguments(shards: object, ring: object, name: object, timeout: object) -> None:
    """Refuse what can never work, before any file is opened.

    Raises:
        InvalidType: an argument is of the wrong type.
        InvalidValue: an argument has a wrong value.
        UnknownNode: the ring has a node that is no shard.
    """
    if not isinstance(shards, Mapping):
        raise InvalidType(f"shards is a {type(shards).__name__}; give a mapping of names to URLs")
    if not shards:
        raise InvalidValue("a cluster needs at least one shard")
    for shard in shards:
        check_shard_name(shard)
    if ring is not None:
        check_known(check_ring(ring).nodes, shards)
    if name == COORDINATOR:
        raise InvalidValue(f"the name {name!r} belongs to rebalancers; give the cluster another one")
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool):
        raise InvalidType(f"timeout {timeout!r} is not a number of seconds")
    if not 0 <= timeout < float("inf"):
        raise InvalidValue(f"timeout {timeout!r} is not a number of seconds from 0 up")


def check_shard_name(name: object) -> None:
    """Refuse what cannot be a node of a ring."""
    if not isinstance(name, str):
        raise InvalidType(f"shard name {name!r} is a {type(name).__name__}; use str")
    if not name:
        raise InvalidValue("a shard needs a name that is not empty")


def check_ring(ring: object) -> HashRing:
    """`ring`, when it is one that shards can keep."""
    if not isinstance(ring, HashRing):
        raise InvalidType(f"ring is a {type(ring).__name__}; use a HashRing")
    if callable(ring.hash):
        raise InvalidValue(
            f"shards cannot keep the function {ring.hash!r}; use a ring with a hash that has a name"
        )
    return ring


def check_distinct(shards: Mapping[str, Shard]) -> None:
    """Refuse one store under two names: a key could not be moved from one to the other."""
    seen: dict[object, str] = {}
    for name, shard in shards.items():
        if shard.place in seen:
            raise InvalidValue(f"shards {seen[shard.place]!r} and {name!r} are the same store")
        seen[shard.place] = name


def _ignore(report: Rebalance) -> None:
    """Whoever rebalances did not ask for progress."""
