"""Transactions for asyncio: the same protocols; blocking stores are asked in worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, Literal, TypeVar

from ringfence.aio.background import Finisher, RecoveryWorker
from ringfence.aio.threads import Threaded, ThreadedDecisions, Threads, threaded, to_the_end
from ringfence.errors import InvalidValue, StoreTimeout
from ringfence.protocol import Effects, arun
from ringfence.transactions import decisions as decision_stores
from ringfence.transactions import participants as participant_stores
from ringfence.transactions.coordinator import Coordinator
from ringfence.transactions.decisions import DecisionStore, Heuristic
from ringfence.transactions.opening import check_ack, open_stores
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant
from ringfence.transactions.recovery import Recovery
from ringfence.transactions.retrying import check_retries, retrying
from ringfence.transactions.timeouts import DEFAULT, Timeouts, check_seconds
from ringfence.transactions.transaction import Branches, Fenced, commit, not_begun, roll_back

T = TypeVar("T")


class TransactionManager:
    """Runs transactions over several participants, each of which happens on all of them or on none.

        tm = TransactionManager("sqlite:///decisions.db", {"east": "sqlite:///east.db", "west": "sqlite:///west.db"})
        async with tm.transaction() as tx:
            await tx["east"].execute("UPDATE account SET balance = balance - 10 WHERE id = 1")
            await tx["west"].execute("UPDATE account SET balance = balance + 10 WHERE id = 1")

    All that is said of `ringfence.TransactionManager` holds here. A task that is cancelled in its transaction rolls
    it back; one that is cancelled while it commits is told so when the commit has come to its end.

    Args:
        decisions: URL of the decision store, or the store. None: in the database of the first participant that can
            carry them.
        participants: URLs, or participants, by the names that transactions use.
        name: 1 to 40 of A-Z a-z 0-9 _ and -, another one for each process.
        timeout: seconds to wait for other transactions, for stores that are given as URLs.
        timeouts: how long the phases of a transaction may take.
        ack: "applied": a commit returns when all branches have followed, or did not answer for a while; "decided": as
            soon as the decision is durable, and the branches are told in the background.
        random: where the pauses before retries come from.
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
        opened, found = open_stores(
            decisions,
            participants,
            timeout,
            decision_stores.aio_from_url,
            participant_stores.aio_from_url,
        )
        self._threads = Threads()
        self.decisions = threaded(opened, self._threads, ThreadedDecisions)
        self.participants = {branch: threaded(store, self._threads) for branch, store in found.items()}
        self._coordinator = Coordinator(name, self.decisions, self.participants, timeouts)
        self.ack = ack
        self._random = random or Random()
        self._starting = asyncio.Lock()
        self._finisher: Finisher | None = None
        self._workers: list[RecoveryWorker] = []

    @property
    def name(self) -> str:
        """This coordinator's name."""
        return self._coordinator.name

    def transaction(self) -> Transaction:
        """A transaction, to be used in an `async with` block, where it starts."""
        return Transaction(self, self._threads)

    async def run(self, work: Callable[[Transaction], Awaitable[T]], retries: int = 3) -> T:
        """Run `await work(tx)` in a transaction and commit; again when it only came in the way of another transaction.

        All that is said of `ringfence.TransactionManager.run` holds here.
        """
        check_retries(retries)
        result: T = await arun(retrying(partial(self._attempt, work), retries, self._random))
        return result

    async def recover(self, name: str | None = None) -> Recovery:
        """Resolve what earlier starts of the coordinator `name`, or of this one, left prepared."""
        if name in (None, self.name):  # another name's recovery must not fence off who runs under this one
            await self._start()
        return await arun(self._coordinator.recover(name))

    def recover_forever(
        self, every: float = 5.0, seen: Callable[[Recovery], object] = lambda _: None
    ) -> RecoveryWorker:
        """Recover in a task, at once and then again and again; await its `stop()` to end it, or close this manager.

        Args:
            every: seconds between two rounds.
            seen: called with what each round did.
        """
        check_seconds("every", every)
        worker = RecoveryWorker(self.recover, every, seen)
        self._workers.append(worker)
        return worker

    async def heuristics(self) -> list[Heuristic]:
        """The branches that did not end as was decided, because somebody ended them by hand; see `forget`."""
        found: list[Heuristic] = await self.decisions.heuristics()
        return found

    async def forget(self, gid: str) -> bool:
        """Drop what `heuristics` says of `gid`, when you have dealt with it; was there anything?"""
        dropped: bool = await self.decisions.forget(gid)
        return dropped

    async def outcome(self, gid: str) -> Outcome:
        """What became of the transaction `gid`.

        Raises:
            InvalidValue: not a gid, or not one of this decision store.
            StoreError: a store cannot be reached.
        """
        return await arun(self._coordinator.outcome(gid))

    async def close(self) -> None:
        """Finish what is decided, roll back open transactions, close the stores. Closing twice is harmless.

        One that cannot be closed keeps none of the others open; its error is raised when all were closed.
        """
        if self._threads.closed:
            return
        async with AsyncExitStack() as closing:
            closing.callback(self._threads.close)
            for store in (self.decisions, *reversed(self.participants.values())):
                closing.push_async_callback(store.close)
            if self._finisher is not None:
                closing.push_async_callback(self._finisher.close)
            for worker in self._workers:
                closing.push_async_callback(worker.stop)

    async def __aenter__(self) -> TransactionManager:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def begin(self) -> Coordinator:
        """The coordinator, started."""
        if not self._coordinator.epoch:
            await self._start()
        self._coordinator.check_process()
        return self._coordinator

    async def _attempt(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self.transaction() as tx:
            return await work(tx)

    async def _start(self) -> None:
        async with self._starting:
            if self._coordinator.epoch:
                return
            await arun(self._coordinator.start())
            if self.ack == "decided":
                self._finisher = Finisher(lambda decided: arun(self._coordinator.finish(decided)))
                self._coordinator.defer = self._finisher.put


class Transaction:
    """Work on several participants that happens on all of them or on none. For one task at a time.

    Leaving its `async with` block normally commits; leaving it by an exception, or by being cancelled, rolls back.
    """

    def __init__(self, manager: TransactionManager, threads: Threads) -> None:
        self._manager = manager
        self._threads = threads
        self._coordinator: Coordinator | None = None
        self._branches: Branches | None = None

    @property
    def gid(self) -> str:
        """Its global id, for `TransactionManager.outcome`.

        Raises:
            InvalidValue: it was not started.
        """
        return self._started()[1].gid

    def __getitem__(self, name: str) -> Branch:
        """The branch on the participant `name`, begun by its first statement.

        Raises:
            InvalidValue: there is no such participant, or the transaction is over or was not started.
        """
        self._started()[1].participant(name)
        return Branch(self, name)

    async def __aenter__(self) -> Transaction:
        self._coordinator = await self._manager.begin()
        self._branches = Branches(self._coordinator, self._coordinator.begin())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if not self._started()[1].over:
            await (self.commit() if error is None else self.rollback())
        return False

    def guard(self, lease: Fenced) -> None:
        """Let the transaction happen only if no newer holder of a lock has written; as `ringfence.Transaction.guard`.

        Args:
            lease: anything with a `name` and a `fence`.

        Raises:
            InvalidType: it has none.
            InvalidValue: the transaction is over or was not started, or one of its participants cannot compare fences.
        """
        self._started()[1].guard(lease)

    async def commit(self) -> None:
        """Commit on all participants, or on none.

        Raises:
            Aborted: on none; it may be run again.
            InDoubt: not known here and now; ask `outcome(gid)`, or recover.
            HeuristicOutcome: committed, but a branch cannot follow.
        """
        await _to_the_end(commit(*self._started()))

    async def rollback(self) -> None:
        """Give up all that was done in it."""
        await _to_the_end(roll_back(*self._started()))

    async def branch(self, name: str) -> Any:
        """The participant's own branch object, begun when first asked for.

        Raises:
            Aborted: another transaction did not end there in time; also when two wait for each other.
            InDoubt: prepared work of the transaction that it names stands there; recover that one.
        """
        _, branches = self._started()
        participant = branches.participant(name)
        if branches.begun[name] is None:
            try:
                branches.begun[name] = await participant.begin(branches.gid)
            except StoreTimeout as error:
                raise not_begun(branches.gid, name, error) from error
        branch = branches.begun[name]
        return Threaded(branch, self._threads) if isinstance(participant, Threaded) else branch

    def _started(self) -> tuple[Coordinator, Branches]:
        if self._coordinator is None or self._branches is None:
            raise InvalidValue(
                "this transaction was not started; use it as `async with tm.transaction() as tx:`"
            )
        return self._coordinator, self._branches


class Branch:
    """A branch whose methods are those of the participant's own branch, as coroutines."""

    def __init__(self, transaction: Transaction, name: str) -> None:
        self._transaction = transaction
        self._name = name

    def __getattr__(self, method: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            branch = await self._transaction.branch(self._name)
            return await getattr(branch, method)(*arguments, **named)

        return call


async def _to_the_end(steps: Effects[None]) -> None:
    await to_the_end(asyncio.ensure_future(arun(steps)))
