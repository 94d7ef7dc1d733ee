"""`TransactionManager`: transactions over several participants, for threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from random import Random
from types import TracebackType
from typing import Literal, TypeVar

from ringfence.protocol import run
from ringfence.transactions.background import Finisher, RecoveryWorker
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.decisions import DecisionStore, Heuristic
from ringfence.transactions.opening import check_ack, open_stores
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant
from ringfence.transactions.recovery import Recovery
from ringfence.transactions.retrying import check_retries, retrying
from ringfence.transactions.timeouts import DEFAULT, Timeouts, check_seconds
from ringfence.transactions.transaction import Transaction

T = TypeVar("T")


class TransactionManager:
    """Runs transactions over several participants, each of which happens on all of them or on none.

        tm = TransactionManager("sqlite:///decisions.db", {"east": "sqlite:///east.db", "west": "sqlite:///west.db"})
        with tm.transaction() as tx:
            tx["east"].execute("UPDATE account SET balance = balance - 10 WHERE id = 1")
            tx["west"].execute("UPDATE account SET balance = balance + 10 WHERE id = 1")

    Every process needs a manager of its own, with a `name` of its own: a manager that starts fences off the earlier
    ones of the same name, as after a crash. What those left prepared is resolved by `recover()`; call it at start, or
    let `recover_forever()` do it.

    Where the decision store is in the database of one of the participants, a transaction that writes there makes its
    decision in that participant's own commit, and saves a write to the disk. `decisions=None` has it so.

    Args:
        decisions: URL of the decision store, or the store. The same one for all who share a participant. None: in the
            database of the first participant that can carry them.
        participants: URLs, or participants, by the names that transactions use.
        name: 1 to 40 of A-Z a-z 0-9 _ and -.
        timeout: seconds to wait for other transactions, for stores that are given as URLs.
        timeouts: how long the phases of a transaction may take.
        ack: "applied": a commit returns when all branches have followed, or did not answer for a while; "decided": as
            soon as the decision is durable, and the branches are told in the background.
        random: where the pauses before retries come from.

    Attributes:
        decisions: the decision store.
        participants: the participants by name.
        ack: when a commit returns.
    """

    def __init__(
        self,
        decisions: str | DecisionStore | None,
        participants: Mapping[str, str | Participant],
        *,
        name: str = "main",
        timeout: float = 5.0,
        timeouts: Timeouts = DEFAULT,
        ack: Literal["applied", "decided"] = "applied",
        random: Random | None = None,
    ) -> None:
        check_ack(ack)
        self.decisions: DecisionStore
        self.participants: dict[str, Participant]
        self.decisions, self.participants = open_stores(decisions, participants, timeout)
        self._coordinator = Coordinator(name, self.decisions, self.participants, timeouts)
        self.ack = ack
        self._random = random or Random()
        self._starting = threading.Lock()
        self._finisher: Finisher | None = None
        self._workers: list[RecoveryWorker] = []

    @property
    def name(self) -> str:
        """This coordinator's name."""
        return self._coordinator.name

    def transaction(self) -> Transaction:
        """Start a transaction; use it in a `with` block.

        Raises:
            StoreError: the decision store cannot be reached.
        """
        if not self._coordinator.epoch:
            self._start()
        return Transaction(self._coordinator)

    def run(self, work: Callable[[Transaction], T], retries: int = 3) -> T:
        """Run `work(tx)` in a transaction and commit; again when it only came in the way of another transaction.

        A deadlock, a serialization failure or a lock that was not to be had in time aborts one of those who were in
        each other's way; that one is run again after a pause, from the beginning and in a new transaction. So `work`
        must do nothing outside of the transaction that must not be done twice.

        Args:
            work: is given the transaction; what it returns is returned.
            retries: how often it is run again, at most.

        Raises:
            Aborted: once too often, or for a reason that will not go away by itself.
            InDoubt: not known; it is not run again.
        """
        check_retries(retries)
        result: T = run(retrying(partial(self._attempt, work), retries, self._random))
        return result

    def recover(self, name: str | None = None) -> Recovery:
        """Resolve what earlier starts of the coordinator `name`, or of this one, left prepared.

        Recovering another name takes it over: a process that still runs under it can commit no more on several
        participants. Nothing that is resolved already is touched, so it can be run again, and by several at once.

        Returns:
            What was done, and what could not be: print it, or iterate over it.
        """
        if name in (None, self.name):  # another name's recovery must not fence off who runs under this one
            self._start()
        return run(self._coordinator.recover(name))

    def recover_forever(
        self, every: float = 5.0, seen: Callable[[Recovery], object] = lambda _: None
    ) -> RecoveryWorker:
        """Recover in the background, at once and then again and again.

        Later rounds find what the first one could not reach, and what a request that was under way when its process
        died has prepared since.

        Args:
            every: seconds between two rounds.
            seen: called with what each round did, in the background's thread.

        Returns:
            The worker; `stop()` ends it, and so does closing this manager.
        """
        check_seconds("every", every)
        worker = RecoveryWorker(self.recover, every, seen)
        self._workers.append(worker)
        return worker

    def outcome(self, gid: str) -> Outcome:
        """What became of the transaction `gid`: "committed", "aborted", or "in doubt" while it may still be at work.

        This manager must have all participants that the transaction used. One that wrote nothing leaves no trace:
        once its manager is gone, it is reported as aborted.

        Raises:
            InvalidValue: not a gid, or not one of this decision store.
            StoreError: a store cannot be reached.
        """
        return run(self._coordinator.outcome(gid))

    def heuristics(self) -> list[Heuristic]:
        """The branches that did not end as was decided, because somebody ended them by hand; see `forget`."""
        return self.decisions.heuristics()

    def forget(self, gid: str) -> bool:
        """Drop what `heuristics` says of `gid`, when you have dealt with it; was there anything?"""
        return self.decisions.forget(gid)

    def close(self) -> None:
        """Finish what is decided, roll back open transactions, close the stores. Closing twice is harmless.

        One that cannot be closed keeps none of the others open; its error is raised when all were closed.
        """
        with ExitStack() as closing:
            closing.callback(self.decisions.close)
            for participant in reversed(self.participants.values()):
                closing.callback(participant.close)
            if self._finisher is not None:
                closing.callback(self._finisher.close)
            for worker in self._workers:
                closing.callback(worker.stop)

    def __enter__(self) -> TransactionManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self, work: Callable[[Transaction], T]) -> T:
        with self.transaction() as tx:
            return work(tx)

    def _start(self) -> None:
        with self._starting:
            if self._coordinator.epoch:
                return
            run(self._coordinator.start())
            if self.ack == "decided":
                self._finisher = Finisher(lambda decided: run(self._coordinator.finish(decided)))
                self._coordinator.defer = self._finisher.put
