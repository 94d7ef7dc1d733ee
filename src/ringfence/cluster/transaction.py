"""Get, put and delete several keys, on whatever shards they are, in one transaction."""

from __future__ import annotations

from typing import Protocol, TypeVar

from ringfence.cluster import rules
from ringfence.cluster.entries import Key, StoredKey, Value, checked, stored
from ringfence.cluster.joint import Joint
from ringfence.cluster.view import View, refresh
from ringfence.errors import Aborted, NotHeld, StaleRing
from ringfence.protocol import Call, Effects, run

T = TypeVar("T")


def get(joint: Joint, key: Key, kept: StoredKey) -> Effects[Value | None]:
    """The value of `key` with this transaction's own writes, None when there is no such key."""
    for name in rules.lookup_order(*joint.state.places(key)):
        branch = yield from joint.branch(name)
        found: Value | None = yield Call(branch, "get", (kept,))
        if found is not None:
            return found
    return None


def put(joint: Joint, key: Key, kept: StoredKey, value: Value) -> Effects[None]:
    """Store `value` under `key`, on its new owner alone when it is moving."""
    source, target = joint.state.places(key)
    branch = yield from joint.branch(source)
    if source != target:
        yield Call(branch, "delete", (kept,))
        branch = yield from joint.branch(target)
    yield Call(branch, "put", (kept, value))


def delete(joint: Joint, key: Key, kept: StoredKey) -> Effects[bool]:
    """Delete `key` from wherever it is; was there such a key?"""
    found = False
    for name in rules.lookup_order(*joint.state.places(key)):
        branch = yield from joint.branch(name)
        found |= yield Call(branch, "delete", (kept,))
    return found


class Held(Protocol):
    """A lease."""

    @property
    def name(self) -> str:
        """Of its lock."""

    @property
    def fence(self) -> int:
        """Grows with every holder of the lock."""


class ClusterTransaction:
    """What `with cluster.transaction() as tx` gives: reads see its own writes, others see them after the commit.

    A shard is locked for other writers from its first use to the end, so keep it short. After an operation failed,
    the whole cannot be committed any more.

    Attributes:
        gid: the global transaction id.
        over: it was committed or rolled back, or tried to be.
    """

    def __init__(self, view: View, joint: Joint) -> None:
        self.gid = joint.gid
        self._view = view
        self._joint = joint
        self._failure: BaseException | None = None
        self.over = False

    def get(self, key: Key, default: Value | None = None) -> Value | None:
        """Return the value of `key`, or `default` when there is no such key.

        Raises:
            StaleRing: the ring changed; the cluster has loaded the new one: run the transaction again.
            StoreTimeout: a shard stayed locked, perhaps by a transaction that waits for this one; run it again.
            InDoubt: a prepared transaction stands on a shard.
        """
        found = self._do(get(self._joint, key, stored(key)))
        return default if found is None else found

    def put(self, key: Key, value: Value) -> None:
        """Store `value` under `key`. Raises as `get`."""
        self._do(put(self._joint, key, stored(key), checked(value)))

    def delete(self, key: Key) -> bool:
        """Delete `key`; was there such a key? Raises as `get`."""
        return self._do(delete(self._joint, key, stored(key)))

    def guard(self, lease: Held) -> None:
        """Commit only as the holder of a lease that nobody has overtaken: each shard compares its fence as it prepares.

        Args:
            lease: anything with a `name` and a `fence`. A shard on which a newer fence of that name has written makes
                the commit raise `Aborted`.
        """
        self._do(self._joint.guard(lease.name, lease.fence))

    def commit(self) -> None:
        """Make all of it happen, or nothing; called at the end of the `with` block, unless it is over by then."""
        self._end()
        if self._failure is not None:
            run(self._joint.rollback())
            raise Aborted(self.gid, f"an operation in it failed: {self._failure}") from self._failure
        run(self._joint.commit())

    def rollback(self) -> None:
        """Let nothing of it happen; called when the `with` block raises, unless it is over by then."""
        self._end()
        run(self._joint.rollback())

    def _end(self) -> None:
        self._refuse_over()
        self.over = True

    def _refuse_over(self) -> None:
        if self.over:
            raise NotHeld(self.gid)

    def _do(self, steps: Effects[T]) -> T:
        self._refuse_over()
        try:
            return run(steps)
        except BaseException as error:
            self._failure = error
            if isinstance(error, StaleRing):
                run(refresh(self._view))
            raise
