"""Guards: compare a fence and write in one atomic step, one backend a file.

A lease alone never makes a write safe, for its holder may be paused between looking at the lease and writing. A guard
keeps the highest fence that has written, beside the data that it guards, and refuses lower ones. See Martin Kleppmann,
"How to do distributed locking", 2016.
"""

from ringfence.locks.guards.etcd import EtcdGuard
from ringfence.locks.guards.file import FileGuard
from ringfence.locks.guards.mysql import MySqlGuard
from ringfence.locks.guards.postgresql import PostgresGuard
from ringfence.locks.guards.redis import RedisGuard
from ringfence.locks.guards.sqlite import Guard
from ringfence.locks.guards.zookeeper import ZooKeeperGuard

__all__ = ["EtcdGuard", "FileGuard", "Guard", "MySqlGuard", "PostgresGuard", "RedisGuard", "ZooKeeperGuard"]
