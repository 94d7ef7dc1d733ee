"""From the URL of a Redis participant to where it keeps its keys."""

from __future__ import annotations

from typing import Any

from ringfence import _redis
from ringfence._url import split
from ringfence.errors import InvalidValue
from ringfence.transactions.participants.redis.keys import Keys
from ringfence.transactions.participants.redis.work import Site

TAG = "txn"
"""The hash tag of a participant's own keys unless its URL names another."""

SCHEMES = (*_redis.SCHEMES, _redis.SENTINEL, *_redis.CLUSTER)

LEASE = 0.8
"""The part of the timeout after which the open branch of a client that died is over, where there is one at a time."""


def site(url: str, kind: Any, clustered: Any, timeout: float, alone: bool) -> Site:
    """Return what a participant works on.

    Args:
        url: `redis://…`, with `tag=` and the options of redis-py.
        kind: `Server` or `AioServer`.
        clustered: the same for a Redis Cluster.
        timeout: seconds to wait for other branches.
        alone: one branch is open at a time.

    Raises:
        InvalidType: `url` is not a string.
        InvalidValue: it is none of a Redis, its tag is none, or that of a Redis Cluster is missing.
        BackendUnavailable: redis-py is not installed.
    """
    scheme, _ = split(url, SCHEMES)
    url, tag = _redis.option(url, "tag")
    lease = max(1000, int(timeout * LEASE * 1000)) if alone else 0
    if scheme not in _redis.CLUSTER:
        keys = Keys(tag or TAG, clustered=False)
        return Site(kind(url), keys, timeout, lease)
    if not tag:
        raise InvalidValue(
            f"{_redis.where(url)} needs ?tag=NAME, and {{NAME}} in each key: one slot of the cluster"
        )
    return Site(clustered(url, Keys(tag, clustered=True).tag), Keys(tag, clustered=True), timeout, lease)
