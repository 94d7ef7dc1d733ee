"""From the URL of a Redis participant to where it keeps its keys."""

from __future__ import annotations

from typing import Any

from ringfence import _redis
from ringfence._url import split
from ringfence.transactions.participants.redis.keys import Keys
from ringfence.transactions.participants.redis.work import Site

TAG = "txn"
"""The hash tag of a participant's own keys unless its URL names another."""

SCHEMES = (*_redis.SCHEMES, _redis.SENTINEL)

LEASE = 0.8
"""The part of the timeout after which the open branch of a client that died is over, where there is one at a time."""


def site(url: str, kind: Any, timeout: float, alone: bool) -> Site:
    """Return what a participant works on.

    Args:
        url: `redis://…`, with `tag=` and the options of redis-py.
        kind: `Server` or `AioServer`.
        timeout: seconds to wait for other branches.
        alone: one branch is open at a time.

    Raises:
        InvalidType: `url` is not a string.
        InvalidValue: it is none of a Redis, or its tag is none.
        BackendUnavailable: redis-py is not installed.
    """
    split(url, SCHEMES)
    url, tag = _redis.option(url, "tag")
    lease = max(1000, int(timeout * LEASE * 1000)) if alone else 0
    return Site(kind(url), Keys(tag or TAG, clustered=False), timeout, lease)
