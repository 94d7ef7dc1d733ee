"""The errors of ringfence, as a tree.

::

    RingfenceError
    ├── InvalidValue (also ValueError)     a bad argument, refused before any I/O
    ├── InvalidType (also TypeError)       an argument of the wrong type, refused before any I/O
    ├── PlacementError
    │   ├── EmptyRing                      a look-up in a ring without nodes
    │   ├── UnknownNode                    a name that is not in the ring
    │   └── StaleRing                      the shard has moved on to a newer ring
    ├── LockError
    │   ├── LeaseLost                      the lease ran out, or another holder has the lock
    │   ├── NotHeld                        released or extended after it was given back
    │   └── FenceRejected                  a guard has seen a newer fence
    ├── TransactionError
    │   ├── Aborted                        nothing of the transaction happened; it may be run again
    │   ├── InDoubt                        the outcome is not known yet; ask again, or recover
    │   ├── HeuristicOutcome               a branch ended otherwise than was decided
    │   └── ProofRejected                  a proof about the decision log does not show what it should
    └── StoreError
        ├── BackendUnavailable             a driver or server that is not there
        ├── StoreDamaged                   the store's file is not what it should be
        ├── StoreTimeout                   no answer in time; nothing happened
        └── OutcomeUnknown                 no answer; it may or may not have happened

An error says what happened, to what, and what to do, and carries the values as attributes.
"""

from __future__ import annotations


class RingfenceError(Exception):
    """Base of every error this library raises."""


class InvalidValue(RingfenceError, ValueError):
    """An argument has a value that can never work."""


class InvalidType(RingfenceError, TypeError):
    """An argument has a type that can never work."""


class PlacementError(RingfenceError):
    """Base of the errors of placement."""


class EmptyRing(PlacementError):
    """The ring has no nodes, so no key has an owner."""

    def __init__(self) -> None:
        super().__init__("the ring has no nodes; add one with ring.with_node(name)")


class UnknownNode(PlacementError):
    """A node is named that the ring does not have.

    Attributes:
        node: the name asked for.
    """

    def __init__(self, node: object, known: tuple[str, ...] = ()) -> None:
        shown = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
        super().__init__(f"no node {node!r}; known nodes: {shown or 'none'}")
        self.node = node
        self.known = known

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.node, self.known)


class StaleRing(PlacementError):
    """A shard refused an operation because the caller's ring is older than the shard's.

    Attributes:
        shard: the shard that refused.
        held: epoch of the caller's ring.
        current: epoch of the shard's ring.
    """

    def __init__(self, shard: str, held: int, current: int) -> None:
        super().__init__(
            f"shard {shard!r} is at ring epoch {current}, this ring is at {held}; load the new ring and run again"
        )
        self.shard = shard
        self.held = held
        self.current = current

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.shard, self.held, self.current)


class LockError(RingfenceError):
    """Base of the errors of locks."""


class LeaseLost(LockError):
    """The lease is over: its deadline passed, or its store says that it is no longer held.

    Attributes:
        name: the lock.
        fence: the fence of the lost lease.
    """

    def __init__(self, name: str, fence: int) -> None:
        super().__init__(
            f"the lease on {name!r} (fence {fence}) is lost; stop the work it protected and acquire again"
        )
        self.name = name
        self.fence = fence

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.fence)


class NotHeld(LockError):
    """The lease was already released.

    Attributes:
        name: the lock.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"the lease on {name!r} was already released; acquire the lock again")
        self.name = name

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name,)


class FenceRejected(LockError):
    """A guard refused a write because a newer holder has written already.

    Attributes:
        resource: what is guarded.
        fence: the fence that was refused.
        mark: the highest fence the guard has seen.
    """

    def __init__(self, resource: str, fence: int, mark: int) -> None:
        super().__init__(
            f"write to {resource!r} with fence {fence} refused: fence {mark} has already written; the lease is stale"
        )
        self.resource = resource
        self.fence = fence
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.resource, self.fence, self.mark)


class TransactionError(RingfenceError):
    """Base of the errors of transactions."""


class Aborted(TransactionError):
    """Nothing of the transaction happened; it may be run again.

    Attributes:
        gid: the transaction.
        reason: why it was aborted.
        retryable: it only came in the way of another one (a deadlock, a serialization failure, a lock that was not to
            be had in time), so the same may well succeed soon; `TransactionManager.run` does that.
    """

    def __init__(self, gid: str, reason: str, retryable: bool = False) -> None:
        super().__init__(f"transaction {gid} aborted: {reason}")
        self.gid = gid
        self.reason = reason
        self.retryable = retryable

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.gid, self.reason, self.retryable)


class InDoubt(TransactionError):
    """The outcome of a transaction is not known here and now; it is never guessed.

    Attributes:
        gid: the transaction; ask `outcome(gid)` later, or run recovery.
        reason: what stands in the way.
    """

    def __init__(self, gid: str, reason: str) -> None:
        super().__init__(
            f"transaction {gid} is in doubt: {reason}; ask outcome({gid!r}) later, or run recover()"
        )
        self.gid = gid
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.gid, self.reason)


class HeuristicOutcome(TransactionError):
    """A branch could not end as was decided; somebody has to look at it.

    Attributes:
        gid: the transaction.
        branch: the participant's name.
        reason: what happened there.
    """

    def __init__(self, gid: str, branch: str, reason: str) -> None:
        super().__init__(f"branch {branch!r} of transaction {gid} did not end as decided: {reason}")
        self.gid = gid
        self.branch = branch
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.gid, self.branch, self.reason)


class ProofRejected(TransactionError):
    """A proof does not show what it is said to: the log was rewritten, or the proof is another's or damaged.

    Attributes:
        what: what was to be shown.
        reason: why it is not.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"not shown: {what}; {reason}")
        self.what = what
        self.reason = reason

    def __reduce__(self) -> tuple[type[ProofRejected], tuple[str, str]]:
        return type(self), (self.what, self.reason)


class StoreError(RingfenceError):
    """A store failed to do what it was asked; base of the errors of stores."""


class BackendUnavailable(StoreError):
    """A driver is not installed, or a server or file cannot be reached."""


class StoreDamaged(StoreError):
    """The store's file is not what it should be; nothing was changed in it."""


class StoreTimeout(StoreError):
    """The store did not answer in time, and nothing happened there; it may be tried again."""


class OutcomeUnknown(StoreError):
    """The store did not answer: the request may or may not have been carried out."""
