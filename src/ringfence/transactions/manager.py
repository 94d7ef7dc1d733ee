"""`TransactionManager`: transactions over several participants, for threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType

from ringfence.protocol import run
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.opening import open_decisions, open_participants
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant
from ringfence.transactions.recovery import Recovery
from ringfence.transactions.transaction import Transaction


class TransactionManager:
    """Runs transactions over several participants, each of which happens on all of them or on none.

        tm = TransactionManager("sqlite:///decisions.db", {"east": "sqlite:///east.db", "west": "sqlite:///west.db"})
        with tm.transaction() as tx:
            tx["east"].execute("UPDATE account SET balance = balance - 10 WHERE id = 1")
            tx["west"].execute("UPDATE account SET balance = balance + 10 WHERE id = 1")

    Every process needs a manager of its own, with a `name` of its own: a manager that starts fences off the earlier
    ones of the same name, as after a crash. What those left prepared is resolved by `recover()`; call it at start.

    Args:
        decisions: URL of the decision store, or the store. The same one for all who share a participant.
        participants: URLs, or participants, by the names that transactions use.
        name: 1 to 40 of A-Z a-z 0-9 _ and -.
        timeout: seconds to wait for other transactions, for stores that are given as URLs.

    Attributes:
        decisions: the decision store.
        participants: the participants by name.
    """

    def __init__(
        self,
        decisions: str | DecisionStore,
        participants: Mapping[str, str | Participant],
        *,
        name: str = "main",
        timeout: float = 5.0,
    ) -> None:
        self.decisions = open_decisions(decisions, timeout)
        self.participants = open_participants(participants, timeout)
        self._coordinator = Coordinator(name, self.decisions, self.participants)
        self._starting = threading.Lock()

    @property
    def name(self) -> str:
        """This coordinator's name."""
        return self._coordinator.name

    def transaction(self) -> Transaction:
        """Start a transaction; use it in a `with` block.

        Raises:
            StoreError: the decision store cannot be reached.
        """
        self._start()
        return Transaction(self._coordinator)

    def recover(self, name: str | None = None) -> Recovery:
        """Resolve what earlier starts of the coordinator `name`, or of this one, left prepared.

        Recovering another name takes it over: a process that still runs under it can commit no more on several
        participants. Nothing that is resolved already is touched, so it can be run again, and by several at once.

        Returns:
            What was done, and what could not be: print it, or iterate over it.
        """
        self._start()
        return run(self._coordinator.recover(name))

    def outcome(self, gid: str) -> Outcome:
        """What became of the transaction `gid`: "committed", "aborted", or "in doubt" while it may still be at work.

        This manager must have all participants that the transaction used. One that wrote nothing leaves no trace:
        once its manager is gone, it is reported as aborted.

        Raises:
            InvalidValue: not a gid, or not one of this decision store.
            StoreError: a store cannot be reached.
        """
        return run(self._coordinator.outcome(gid))

    def close(self) -> None:
        """Close the stores; open transactions are rolled back. Closing twice is harmless."""
        for participant in self.participants.values():
            participant.close()
        self.decisions.close()

    def __enter__(self) -> TransactionManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        if not self._coordinator.epoch:
            with self._starting:
                run(self._coordinator.start())
