"""What a coordinator itself costs: participants and a decision store that answer at once and do nothing."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.report import shown
from ringfence.transactions import Outcome, TransactionManager, Vote
from ringfence.transactions.participants import Capabilities

TRANSACTIONS = 2000
ROUNDS = 15
AT_MOST = 20e-6


class Idle:
    """A participant, and a branch of one, that does nothing."""

    capabilities = Capabilities(concurrent=True)
    wrote = True

    def begin(self, _: str) -> Any:
        return self

    def prepare(self, _: str) -> Vote:
        return Vote.YES

    def commit(self, _: str) -> None:
        pass

    def close(self) -> None:
        pass


class Decided:
    """A decision store that agrees to everything."""

    def begin_epoch(self, _: str) -> int:
        return 1

    def put_if_absent(self, _: str, outcome: Outcome) -> Outcome:
        return outcome

    def close(self) -> None:
        pass


def test_a_two_branch_transaction(note: Callable[[str, str, str, bool], None]) -> None:
    stores: Any = {name: Idle() for name in ("east", "west")}
    decisions: Any = Decided()
    with TransactionManager(decisions, stores) as tm:
        spent = median(seconds(tm) for _ in range(ROUNDS))
    note(
        "coordinator's CPU, a two-branch transaction", shown(spent), f"<= {shown(AT_MOST)}", spent <= AT_MOST
    )


def seconds(tm: TransactionManager) -> float:
    """Return the processor's time for a transaction."""
    start = time.process_time()
    for _ in range(TRANSACTIONS):
        with tm.transaction() as tx:
            tx["east"]
            tx["west"]
    return (time.process_time() - start) / TRANSACTIONS
