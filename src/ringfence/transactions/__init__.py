"""Distributed transactions: two-phase commit over a put-if-absent decision row, and recovery."""

from ringfence.transactions.background import RecoveryWorker
from ringfence.transactions.decisions import Heuristic
from ringfence.transactions.manager import TransactionManager
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.recovery import Recovery, Resolved, Unresolved
from ringfence.transactions.timeouts import Timeouts
from ringfence.transactions.transaction import Transaction

__all__ = [
    "Heuristic",
    "Outcome",
    "Recovery",
    "RecoveryWorker",
    "Resolved",
    "Timeouts",
    "Transaction",
    "TransactionManager",
    "Unresolved",
    "Vote",
]
