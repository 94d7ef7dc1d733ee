"""`TransactionManager`: a coordinator with a name, its decision store and its participants."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Mapping
from types import TracebackType

from ringfence.errors import Aborted, InvalidType, InvalidValue
from ringfence.protocol import run
from ringfence.transactions import decisions as decision_stores
from ringfence.transactions import participants as participant_stores
from ringfence.transactions import recovery
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.outcome import Outcome
from ringfence.transactions.participants import Participant
from ringfence.transactions.recovery import Recovery
from ringfence.transactions.transaction import Transaction

_REMEMBERED = 10_000
"""How many outcomes of its own a manager keeps in memory."""


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
        name: this coordinator's name.
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
        self.name = check_name(name)
        _check_timeout(timeout)
        _check_participants(participants)
        self.decisions: DecisionStore = (
            decision_stores.from_url(decisions, timeout) if isinstance(decisions, str) else decisions
        )
        self.participants: dict[str, Participant] = {
            branch: participant_stores.from_url(store, timeout) if isinstance(store, str) else store
            for branch, store in participants.items()
        }
        _refuse_one_store_twice(self.participants)
        self._process = os.getpid()
        self._epoch = 0
        self._counter = itertools.count(1)
        self._running: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}
        self._guard = threading.Lock()

    def transaction(self) -> Transaction:
        """Start a transaction; use it in a `with` block.

        Raises:
            StoreError: the decision store cannot be reached.
        """
        gid = str(Gid(self.name, self._started(), next(self._counter)))
        self._running.add(gid)
        return Transaction(self, gid)

    def recover(self, name: str | None = None) -> Recovery:
        """Resolve what earlier starts of the coordinator `name`, or of this one, left prepared.

        Recovering another name takes it over: a process that still runs under it can commit no more on several
        participants. Nothing that is resolved already is touched, so it can be run again, and by several at once.

        Returns:
            What was done, and what could not be: print it, or iterate over it.
        """
        mine = name is None or name == self.name
        whose = self.name if mine else check_name(str(name))
        epoch = self._started() if mine else self.decisions.begin_epoch(whose)
        return run(recovery.recover(whose, epoch, self.participants, self.decisions, self._running))

    def outcome(self, gid: str) -> Outcome:
        """What became of the transaction `gid`: "committed", "aborted", or "in doubt" while it may still be at work.

        This manager must have all participants that the transaction used. One that wrote nothing leaves no trace:
        once its manager is gone, it is reported as aborted.

        Raises:
            InvalidValue: not a gid, or not one of this decision store.
            StoreError: a store cannot be reached.
        """
        Gid.parse(gid)
        self._refuse_forked()
        known = self._outcomes.get(gid)
        if known is not None or gid in self._running:
            return known or Outcome.IN_DOUBT
        return run(recovery.outcome(gid, self.participants, self.decisions, self._ran(gid)))

    def participant(self, name: str) -> Participant:
        """The participant called `name`.

        Raises:
            InvalidValue: there is none.
        """
        try:
            return self.participants[name]
        except (KeyError, TypeError):
            known = ", ".join(self.participants)
            raise InvalidValue(f"no participant {name!r}; known participants: {known}") from None

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

    def ending(self, gid: str) -> Ending:
        """Guard the end of the transaction `gid`, and remember what it came to."""
        return Ending(gid, self._running, self._outcomes)

    def _started(self) -> int:
        """This coordinator's epoch, taken when it is first needed."""
        self._refuse_forked()
        if not self._epoch:
            with self._guard:
                self._epoch = self._epoch or self.decisions.begin_epoch(self.name)
        return self._epoch

    def _ran(self, gid: str) -> bool:
        """Did this manager run that transaction? Being asked, it is over."""
        parsed = Gid.parse(gid)
        return parsed.name == self.name and parsed.epoch == self._epoch

    def _refuse_forked(self) -> None:
        if self._process != os.getpid():
            raise InvalidValue(
                f"the TransactionManager {self.name!r} was made in process {self._process}; "
                f"make one in this process, with a name of its own"
            )


class Ending:
    """The end of a transaction.

    Attributes:
        committed: set when it has committed.
    """

    __slots__ = ("_gid", "_outcomes", "_running", "committed")

    def __init__(self, gid: str, running: set[str], outcomes: dict[str, Outcome]) -> None:
        self.committed = False
        self._gid = gid
        self._running = running
        self._outcomes = outcomes

    def __enter__(self) -> Ending:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.committed:
            self._remember(Outcome.COMMITTED)
        elif error is None or isinstance(error, Aborted):
            self._remember(Outcome.ABORTED)
        self._running.discard(self._gid)

    def _remember(self, outcome: Outcome) -> None:
        self._outcomes[self._gid] = outcome
        if len(self._outcomes) > _REMEMBERED:
            self._outcomes.pop(next(iter(self._outcomes)), None)


def _check_timeout(timeout: float) -> None:
    if not isinstance(timeout, int | float) or isinstance(timeout, bool):
        raise InvalidType(f"timeout is a number of seconds, not {timeout!r}")
    if not 0 <= timeout < float("inf"):
        raise InvalidValue(f"timeout is at least 0 and finite, not {timeout!r}")


def _check_participants(participants: Mapping[str, object]) -> None:
    if not isinstance(participants, Mapping):
        raise InvalidType(
            f"participants are a mapping of names to URLs or participants, not {participants!r}"
        )
    if not participants:
        raise InvalidValue("a TransactionManager needs at least one participant")
    for name in participants:
        if not isinstance(name, str) or not name:
            raise InvalidValue(f"a participant's name is a string that is not empty, not {name!r}")


def _refuse_one_store_twice(participants: Mapping[str, Participant]) -> None:
    """Two names for one store would wait for each other for ever."""
    seen: dict[object, str] = {}
    for name, participant in participants.items():
        other = seen.setdefault(_identity(participant), name)
        if other != name:
            raise InvalidValue(f"participants {other!r} and {name!r} are the same store; name it once")


def _identity(participant: Participant) -> object:
    path = getattr(participant, "path", None)
    return id(participant) if path is None else os.path.realpath(path)
