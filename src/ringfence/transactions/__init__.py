"""Distributed transactions: two-phase commit over a put-if-absent decision row, and recovery."""

from ringfence.transactions.manager import TransactionManager
from ringfence.transactions.outcome import Outcome, Vote
from ringfence.transactions.recovery import Recovery, Resolved, Unresolved
from ringfence.transactions.transaction import Transaction

__all__ = ["Outcome", "Recovery", "Resolved", "Transaction", "TransactionManager", "Unresolved", "Vote"]
