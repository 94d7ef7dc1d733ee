"""From a URL to a lock store; drivers are loaded when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringfence import _etcd, _mysql, _postgresql, _redis
from ringfence._url import KNOWN, split, sqlite_path
from ringfence.locks.stores import LockStore
from ringfence.locks.stores.memory import named
from ringfence.locks.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from ringfence.locks.stores.redis.aio_cluster import AsyncClusterStore
    from ringfence.locks.stores.redis.aio_store import AsyncRedisStore
    from ringfence.locks.stores.redis.quorum_store import AsyncQuorumStore

_REDIS = (*_redis.SCHEMES, _redis.SENTINEL, *_redis.CLUSTER, *_redis.QUORUM)
_SQL = (*_postgresql.SCHEMES, *_mysql.SCHEMES)
_KNOWN = (*KNOWN, *_REDIS, *_SQL, *_etcd.SCHEMES, "zookeeper")


def open_store(url: str) -> LockStore:
    """Return the lock store that a URL names; nothing is connected yet.

    Raises:
        BackendUnavailable: its driver is not installed.
        InvalidType: `url` is not a string.
        InvalidValue: it names no known store.
    """
    scheme, rest = split(url, _KNOWN)
    if scheme == "memory":
        return named(rest)
    if scheme == "sqlite":
        return SqliteStore(sqlite_path(url))
    if scheme == "zookeeper":
        from ringfence.locks.stores.zookeeper.store import ZooKeeperStore

        return ZooKeeperStore(url)
    if scheme in _redis.CLUSTER:
        from ringfence.locks.stores.redis.cluster import ClusterStore

        return ClusterStore(url)
    if scheme in _redis.QUORUM:
        from ringfence.locks.stores.redis.quorum_store import QuorumStore

        return QuorumStore(url)
    if scheme in _SQL:
        from ringfence.locks.stores.sql.opening import open_sql_store

        return open_sql_store(url)
    if scheme in _etcd.SCHEMES:
        from ringfence.locks.stores.etcd.store import EtcdStore

        return EtcdStore(url)
    from ringfence.locks.stores.redis.store import RedisStore

    return RedisStore(url)


def open_async_store(url: str) -> LockStore | AsyncRedisStore | AsyncClusterStore | AsyncQuorumStore:
    """Return the store that a URL names as an event loop uses it best; see `open_store`."""
    scheme, _ = split(url, _KNOWN)
    if scheme not in _REDIS:
        return open_store(url)
    if scheme in _redis.CLUSTER:
        from ringfence.locks.stores.redis.aio_cluster import AsyncClusterStore

        return AsyncClusterStore(url)
    if scheme in _redis.QUORUM:
        from ringfence.locks.stores.redis.quorum_store import AsyncQuorumStore

        return AsyncQuorumStore(url)
    from ringfence.locks.stores.redis.aio_store import AsyncRedisStore

    return AsyncRedisStore(url)
