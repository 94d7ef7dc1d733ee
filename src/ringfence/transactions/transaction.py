"""One transaction, as its application sees it: branches by name, and a `with` block that ends them together."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from ringfence.errors import Aborted, InvalidValue, StoreTimeout
from ringfence.protocol import run
from ringfence.transactions.two_phase import Enlisted, commit, roll_back

if TYPE_CHECKING:
    from ringfence.transactions.manager import TransactionManager


class Transaction:
    """Work on several participants that happens on all of them or on none. For one thread at a time.

    Leaving its `with` block normally commits; leaving it by an exception rolls back, and the exception goes on.

    Attributes:
        gid: its global id, for `TransactionManager.outcome`.
    """

    def __init__(self, manager: TransactionManager, gid: str) -> None:
        self.gid = gid
        self._manager = manager
        self._branches: dict[str, Any] = {}
        self._open = True

    def __getitem__(self, name: str) -> Any:
        """The branch on the participant `name`, begun when first asked for.

        Raises:
            InvalidValue: there is no such participant, or the transaction is over.
            Aborted: another transaction did not end there in time; also when two wait for each other.
            InDoubt: prepared work of the transaction that it names stands there; recover that one.
        """
        branch = self._branches.get(name)
        if branch is None:
            self._refuse_over()
            branch = self._branches[name] = self._begin(name)
        return branch

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if self._open:
            if error is None:
                self.commit()
            else:
                self.rollback()
        return False

    def commit(self) -> None:
        """Commit on all participants, or on none.

        Raises:
            Aborted: on none; it may be run again.
            InDoubt: not known here and now; ask `outcome(gid)`, or recover.
            HeuristicOutcome: committed, but a branch cannot follow.
        """
        self._refuse_over()
        self._open = False
        with self._manager.ending(self.gid) as ended:
            run(commit(self.gid, self._enlisted(), self._manager.decisions))
            ended.committed = True

    def rollback(self) -> None:
        """Give up all that was done in it."""
        self._refuse_over()
        self._open = False
        with self._manager.ending(self.gid):
            run(roll_back(self.gid, self._enlisted()))

    def _begin(self, name: str) -> Any:
        participant = self._manager.participant(name)
        try:
            return participant.begin(self.gid)
        except StoreTimeout as error:
            raise Aborted(self.gid, f"its branch {name!r} could not begin: {error}") from error

    def _enlisted(self) -> list[Enlisted]:
        participants = self._manager.participants
        return [Enlisted(name, participants[name], branch.wrote) for name, branch in self._branches.items()]

    def _refuse_over(self) -> None:
        if not self._open:
            raise InvalidValue(f"transaction {self.gid} is over; start a new one")
