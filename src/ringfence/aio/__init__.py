"""The asyncio faces of ringfence, under the names that the synchronous ones have."""

from ringfence.aio.guards import guarded
from ringfence.aio.locks import Lease, Lock
from ringfence.aio.manager import LockManager
from ringfence.aio.membership import Membership
from ringfence.aio.recipes.barrier import Barrier
from ringfence.aio.recipes.election import Election
from ringfence.aio.recipes.multi import Leases, MultiLock
from ringfence.aio.recipes.once import Once
from ringfence.aio.recipes.rlock import RLock
from ringfence.aio.transactions import Transaction, TransactionManager
from ringfence.locks.recipes.rwlock import RWLock

__all__ = [
    "Barrier",
    "Election",
    "Lease",
    "Leases",
    "Lock",
    "LockManager",
    "Membership",
    "MultiLock",
    "Once",
    "RLock",
    "RWLock",
    "Transaction",
    "TransactionManager",
    "guarded",
]
