"""One transaction, as its application sees it: branches by name, and a `with` block that ends them together."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal, Protocol

from ringfence.errors import Aborted, InvalidType, InvalidValue, StoreTimeout
from ringfence.protocol import Effects, run
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.two_phase import Enlisted


class Fenced(Protocol):
    """What says who may write: a lease of a lock, or anything else with a name and a fence."""

    @property
    def name(self) -> str:
        """What is guarded."""

    @property
    def fence(self) -> int:
        """A number that only grows from holder to holder."""


class Branches:
    """The branches of one transaction, and whether it is over.

    Attributes:
        gid: the transaction.
        begun: the branches by the names of their participants; None for one that is being begun.
        fences: resources and the fences under which the transaction writes.
    """

    def __init__(self, coordinator: Coordinator, gid: str) -> None:
        self.gid = gid
        self.begun: dict[str, Any] = {}
        self.fences: list[tuple[str, int]] = []
        self._participants = coordinator.participants
        self._over = False

    def participant(self, name: str) -> Any:
        """The participant called `name`, enlisted from now on.

        Raises:
            InvalidValue: there is none, or the transaction is over.
        """
        self.refuse_over()
        if name not in self._participants:
            raise InvalidValue(
                f"no participant {name!r}; known participants: {', '.join(self._participants)}"
            )
        if self.fences:
            self._refuse_unguarded(name)
        self.begun.setdefault(name, None)
        return self._participants[name]

    def guard(self, lease: Fenced) -> None:
        """Let the transaction happen only if nobody with a newer fence has written under that name.

        Raises:
            InvalidType: `lease` has no name and fence.
            InvalidValue: the transaction is over, or one of its participants cannot compare fences.
        """
        self.refuse_over()
        name, fence = getattr(lease, "name", None), getattr(lease, "fence", None)
        if not isinstance(name, str) or not isinstance(fence, int) or isinstance(fence, bool):
            raise InvalidType(f"a transaction is guarded by something with a name and a fence, not {lease!r}")
        for branch in self.begun:
            self._refuse_unguarded(branch)
        self.fences.append((name, fence))

    def end(self) -> list[Enlisted]:
        """All of them, for the protocol that commits. Some must ask their store whether they wrote, and may fail."""
        self.refuse_over()
        enlisted = [
            Enlisted(name, self._participants[name], branch is None or branch.wrote)
            for name, branch in self.begun.items()
        ]
        self._over = True
        return enlisted

    def give_up(self) -> list[Enlisted]:
        """All of them, for the protocol that rolls back, to which it is the same whether they wrote."""
        self.refuse_over()
        self._over = True
        return [Enlisted(name, self._participants[name], wrote=True) for name in self.begun]

    def refuse_over(self) -> None:
        """Refuse to go on with a transaction that is over.

        Raises:
            InvalidValue: it is.
        """
        if self._over:
            raise InvalidValue(f"transaction {self.gid} is over; start a new one")

    def _refuse_unguarded(self, name: str) -> None:
        if not hasattr(self._participants[name], "guard"):
            raise InvalidValue(
                f"participant {name!r} cannot compare fences; leave it out of a guarded transaction"
            )

    @property
    def over(self) -> bool:
        """Was it committed or rolled back, or tried to be?"""
        return self._over


def commit(coordinator: Coordinator, branches: Branches) -> Effects[None]:
    """Commit on all participants, or on none; roll back when an interrupt comes before that has begun."""
    branches.refuse_over()
    try:
        enlisted = branches.end()
    except BaseException:
        yield from roll_back(coordinator, branches)
        raise
    yield from coordinator.commit(branches.gid, enlisted, branches.fences)


def roll_back(coordinator: Coordinator, branches: Branches) -> Effects[None]:
    """Give up what was done on all participants."""
    yield from coordinator.roll_back(branches.gid, branches.give_up())


def not_begun(gid: str, name: str, error: StoreTimeout) -> Aborted:
    """The error for a branch that could not begin; also when two transactions wait for each other."""
    return Aborted(gid, f"its branch {name!r} could not begin: {error}", retryable=True)


class Transaction:
    """Work on several participants that happens on all of them or on none. For one thread at a time.

    Leaving its `with` block normally commits; leaving it by an exception rolls back, and the exception goes on.

    Attributes:
        gid: its global id, for `TransactionManager.outcome`.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        self.gid = coordinator.begin()
        self._coordinator = coordinator
        self._branches = Branches(coordinator, self.gid)

    def __getitem__(self, name: str) -> Any:
        """The branch on the participant `name`, begun when first asked for.

        Raises:
            InvalidValue: there is no such participant, or the transaction is over.
            Aborted: another transaction did not end there in time; also when two wait for each other.
            InDoubt: prepared work of the transaction that it names stands there; recover that one.
        """
        branch = self._branches.begun.get(name)
        return self._begin(name) if branch is None else branch

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if not self._branches.over:
            if error is None:
                self.commit()
            else:
                self.rollback()
        return False

    def guard(self, lease: Fenced) -> None:
        """Let the transaction happen only if no newer holder of a lock has written.

        Every branch compares the lease's fence with the highest that has written on its participant, in the same step
        as it prepares or commits; a stale one aborts the transaction. Branches that write leave the fence behind, as
        those of `ringfence.Guard` do.

        Args:
            lease: anything with a `name` and a `fence`.

        Raises:
            InvalidType: it has none.
            InvalidValue: the transaction is over, or one of its participants cannot compare fences.
        """
        self._branches.guard(lease)

    def commit(self) -> None:
        """Commit on all participants, or on none.

        Raises:
            Aborted: on none; it may be run again.
            InDoubt: not known here and now; ask `outcome(gid)`, or recover.
            HeuristicOutcome: committed, but a branch cannot follow.
        """
        run(commit(self._coordinator, self._branches))

    def rollback(self) -> None:
        """Give up all that was done in it."""
        run(roll_back(self._coordinator, self._branches))

    def _begin(self, name: str) -> Any:
        participant = self._branches.participant(name)
        try:
            branch = self._branches.begun[name] = participant.begin(self.gid)
        except StoreTimeout as error:
            raise not_begun(self.gid, name, error) from error
        return branch
