"""Consistent-hash placement, distributed locks and distributed transactions, joined by fences.

`ringfence.aio` has the same locks and transactions for asyncio; `ringfence.testing` what tests of stores need.
"""

from ringfence._core import IMPLEMENTATION
from ringfence.cluster import Cluster, ClusterTransaction, Rebalance
from ringfence.errors import (
    Aborted,
    BackendUnavailable,
    EmptyRing,
    FenceRejected,
    HeuristicOutcome,
    InDoubt,
    InvalidType,
    InvalidValue,
    LeaseLost,
    LockError,
    NotHeld,
    OutcomeUnknown,
    PlacementError,
    RingfenceError,
    StaleRing,
    StoreDamaged,
    StoreError,
    StoreTimeout,
    TransactionError,
    UnknownNode,
)
from ringfence.locks import Guard, Lease, Lock, LockManager
from ringfence.placement import HashRing, Migration, Move, Node
from ringfence.transactions import Outcome, Recovery, Transaction, TransactionManager

__all__ = [
    "IMPLEMENTATION",
    "Aborted",
    "BackendUnavailable",
    "Cluster",
    "ClusterTransaction",
    "EmptyRing",
    "FenceRejected",
    "Guard",
    "HashRing",
    "HeuristicOutcome",
    "InDoubt",
    "InvalidType",
    "InvalidValue",
    "Lease",
    "LeaseLost",
    "Lock",
    "LockError",
    "LockManager",
    "Migration",
    "Move",
    "Node",
    "NotHeld",
    "Outcome",
    "OutcomeUnknown",
    "PlacementError",
    "Rebalance",
    "Recovery",
    "RingfenceError",
    "StaleRing",
    "StoreDamaged",
    "StoreError",
    "StoreTimeout",
    "Transaction",
    "TransactionError",
    "TransactionManager",
    "UnknownNode",
]
