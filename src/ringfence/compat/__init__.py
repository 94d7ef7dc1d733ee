"""Placement that agrees bit for bit with the systems people run: floats and bugs included.

One module for each system, named after it. What each follows, file and version, stands in its docstrings.
"""

from ringfence.compat import (
    cassandra,
    envoy,
    fastring,
    guava,
    haproxy,
    hashring,
    hdfs,
    ignite,
    kafka,
    memcached,
    redis_cluster,
    tooz,
    uhashring,
)

__all__ = [
    "cassandra",
    "envoy",
    "fastring",
    "guava",
    "haproxy",
    "hashring",
    "hdfs",
    "ignite",
    "kafka",
    "memcached",
    "redis_cluster",
    "tooz",
    "uhashring",
]
