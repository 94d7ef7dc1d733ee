"""Locks: leases that end by themselves, fences that only grow, and guards that refuse stale ones."""

from ringfence.locks.guards import (
    EtcdGuard,
    FileGuard,
    Guard,
    MySqlGuard,
    PostgresGuard,
    RedisGuard,
    ZooKeeperGuard,
)
from ringfence.locks.lease import Lease
from ringfence.locks.lock import Lock
from ringfence.locks.manager import LockManager
from ringfence.locks.recipes.barrier import Barrier
from ringfence.locks.recipes.election import Election, Leader
from ringfence.locks.recipes.multi import Leases, MultiLock
from ringfence.locks.recipes.once import Once, Turn
from ringfence.locks.recipes.rlock import RLock
from ringfence.locks.recipes.rwlock import RWLock

__all__ = [
    "Barrier",
    "Election",
    "EtcdGuard",
    "FileGuard",
    "Guard",
    "Leader",
    "Lease",
    "Leases",
    "Lock",
    "LockManager",
    "MultiLock",
    "MySqlGuard",
    "Once",
    "PostgresGuard",
    "RLock",
    "RWLock",
    "RedisGuard",
    "Turn",
    "ZooKeeperGuard",
]
