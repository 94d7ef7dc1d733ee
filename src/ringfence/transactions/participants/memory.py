"""A participant in this process's memory: a sorted mapping, for tests, the simulator and `memory://`."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ringfence.errors import Aborted, FenceRejected, InDoubt, StoreTimeout
from ringfence.transactions.decisions import memory as decisions_in_memory
from ringfence.transactions.decisions import not_carried
from ringfence.transactions.decisions.memory import MemoryDecisions
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.participants import Capabilities

_DELETED = object()


class MemoryBranch:
    """A transaction's work on a mapping: it sees its own changes, nobody else does.

    Keys are anything hashable and sortable among themselves.

    Attributes:
        gid: the transaction.
        wrote: it changed something.
        failed: the error that makes this branch vote against committing, if any.
        fences: by resource, those to be compared when it ends.
    """

    def __init__(self, gid: str, data: dict[Any, Any]) -> None:
        self.gid = gid
        self.wrote = False
        self.failed: str | None = None
        self.changes: dict[Any, Any] = {}
        self.fences: dict[str, int] = {}
        self._data = data

    def get(self, key: Any) -> Any:
        """The value of `key`, None if it has none."""
        value = self.changes[key] if key in self.changes else self._data.get(key)
        return None if value is _DELETED else value

    def put(self, key: Any, value: Any) -> None:
        """Give `key` a value."""
        self.wrote = True
        self.changes[key] = value

    def delete(self, key: Any) -> bool:
        """Take `key` away; was it there?"""
        there = self.get(key) is not None
        self.put(key, _DELETED)
        return there

    def scan(self, after: Any = None, limit: int = 1000) -> list[tuple[Any, Any]]:
        """Up to `limit` pairs in order of key, beginning after the key `after`."""
        keys = sorted(key for key in self._data.keys() | self.changes.keys() if self.get(key) is not None)
        start = 0 if after is None else bisect_right(keys, after)
        return [(key, self.get(key)) for key in keys[start : start + limit]]

    def fail(self, reason: str) -> None:
        """Make this branch vote against committing, as a statement that failed does."""
        self.failed = reason


class MemoryParticipant:
    """A `Participant` over a mapping.

    What was committed or prepared lasts as long as the object; branches that were not prepared are lost by
    `disconnect`, as they are when a process dies.

    Args:
        timeout: seconds that `begin` waits for another branch to end; 0 does not wait.
        decisions: the decision store that it carries, if it shall be a marker.

    Attributes:
        capabilities: what it can do beyond two phases.
        decisions: the decision store that it carries.
    """

    def __init__(self, timeout: float = 5.0, decisions: MemoryDecisions | None = None) -> None:
        self.capabilities = Capabilities(marker=decisions is not None, durable=False)
        self.decisions = decisions
        self._timeout = timeout
        self._data: dict[Any, Any] = {}
        self._branches: dict[str, MemoryBranch] = {}
        self._intents: dict[str, dict[Any, Any]] = {}
        self._committed: set[str] = set()
        self._fenced: set[str] = set()
        self._marks: dict[str, int] = {}
        self._changed = threading.Condition(threading.RLock())

    def begin(self, gid: str) -> MemoryBranch:
        """Start the branch of `gid` once no other is open or prepared."""
        with self._changed:
            if not self._changed.wait_for(self._free, self._timeout):
                self._refuse()
            branch = self._branches[gid] = MemoryBranch(gid, self._data)
            return branch

    def prepare(self, gid: str) -> Vote:
        """Keep the branch's changes aside."""
        with self._changed:
            if gid in self._intents:
                return Vote.YES
            branch = self._ready(gid)
            if branch.wrote:
                self._intents[gid] = branch.changes
            self._end(gid)
            return Vote.YES if branch.wrote else Vote.READ_ONLY

    def commit(self, gid: str) -> None:
        """Apply the prepared changes."""
        with self._changed:
            self._apply(self._intents.pop(gid, {}))
            self._changed.notify_all()

    def one_phase(self, gid: str) -> None:
        """Apply the branch's changes at once."""
        with self._changed:
            if gid in self._committed:
                return
            branch = self._ready(gid)
            if gid in self._fenced:
                raise Aborted(gid, "it was settled as aborted before it committed")
            self._apply(branch.changes)
            self._committed.add(gid)
            self._end(gid)

    def decide(self, gid: str) -> Outcome:
        """Apply the branch's changes and record the decision, in one step."""
        with self._changed:
            decisions = self.decision_store()
            standing = decisions.get(gid)
            if standing is not None and gid not in self._branches:
                return standing
            branch = self._ready(gid)
            standing = decisions.put_if_absent(gid, Outcome.COMMITTED)
            if standing is Outcome.COMMITTED:
                self._apply(branch.changes)
            self._end(gid)
            return standing

    def decision_store(self) -> MemoryDecisions:
        """The decision store that it carries.

        Raises:
            InvalidValue: it carries none.
        """
        if self.decisions is None:
            raise not_carried("this participant in memory")
        return self.decisions

    def guard(self, gid: str, resource: str, fence: int) -> None:
        """Compare `fence` with the mark of `resource` when the branch ends."""
        with self._changed:
            self._open(gid).fences[resource] = fence

    def rollback(self, gid: str) -> None:
        """Forget the branch's changes."""
        with self._changed:
            self._intents.pop(gid, None)
            self._end(gid)

    def recover(self, prefix: str = "") -> list[str]:
        """The gids of the prepared branches that begin with `prefix`."""
        with self._changed:
            return [gid for gid in self._intents if gid.startswith(prefix)]

    def settled(self, gid: str) -> Outcome | None:
        """Whether `gid` was committed here in one phase, or never can be."""
        if gid in self._committed:
            return Outcome.COMMITTED
        return Outcome.ABORTED if gid in self._fenced else None

    def settle(self, gid: str) -> Outcome:
        """Like `settled`; a branch that could still commit in one phase no longer can."""
        with self._changed:
            if gid not in self._committed:
                self._fenced.add(gid)
            return self.settled(gid) or Outcome.ABORTED

    def disconnect(self, gids: Iterable[str]) -> None:
        """Lose the branches of `gids` that were not prepared, as when their process dies."""
        with self._changed:
            for gid in gids:
                self._end(gid)

    @contextmanager
    def committed(self) -> Iterator[Mapping[Any, Any]]:
        """What is committed, while nobody changes it."""
        with self._changed:
            yield self._data

    @contextmanager
    def alone(self) -> Iterator[MemoryBranch]:
        """A branch of no transaction, begun as `begin` does and applied at the end of the block.

        Raises:
            StoreTimeout: another branch did not end in time.
            InDoubt: a prepared branch stands in the way.
        """
        with self._changed:
            if not self._changed.wait_for(self._free, self._timeout):
                self._refuse()
            branch = MemoryBranch("", self._data)
            yield branch
            self._apply(branch.changes)

    def snapshot(self) -> dict[Any, Any]:
        """What is committed now."""
        with self._changed:
            return dict(self._data)

    def close(self) -> None:
        """Nothing to give up; what was committed or prepared stays."""

    def _free(self) -> bool:
        return not self._branches and not self._intents

    def _refuse(self) -> None:
        for gid in self._intents:
            raise InDoubt(gid, "its prepared work stands in the way of others")
        raise StoreTimeout(f"transactions {sorted(self._branches)} did not end in time; try again")

    def _open(self, gid: str) -> MemoryBranch:
        try:
            return self._branches[gid]
        except KeyError:
            raise Aborted(gid, "its branch is not open here; its work was lost or given up") from None

    def _ready(self, gid: str) -> MemoryBranch:
        """The open branch, if nothing stands against its work."""
        branch = self._open(gid)
        refuse_failed(branch)
        for resource, fence in branch.fences.items():
            check_mark(resource, fence, self._marks.get(resource, 0))
        if branch.wrote:
            self._marks.update(branch.fences)
        return branch

    def _end(self, gid: str) -> None:
        self._branches.pop(gid, None)
        self._changed.notify_all()

    def _apply(self, changes: dict[Any, Any]) -> None:
        for key, value in changes.items():
            if value is _DELETED:
                self._data.pop(key, None)
            else:
                self._data[key] = value


def refuse_failed(branch: MemoryBranch) -> None:
    """Vote against committing a branch in which something failed.

    Raises:
        Aborted: something did, whether or not the application caught the error.
    """
    if branch.failed is not None:
        raise Aborted(branch.gid, branch.failed)


def check_mark(resource: str, fence: int, mark: int) -> None:
    """Vote against work under a fence that is not the newest.

    Raises:
        FenceRejected: a newer holder has written.
    """
    if fence < mark:
        raise FenceRejected(resource, fence, mark)


_shared: dict[str, MemoryParticipant] = {}


def shared(name: str, timeout: float) -> MemoryParticipant:
    """The one participant called `name` in this process; it carries the decisions of the same name."""
    return _shared.setdefault(name, MemoryParticipant(timeout, decisions_in_memory.shared(name)))
