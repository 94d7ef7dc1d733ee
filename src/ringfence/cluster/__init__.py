"""Keys spread over shards by a ring, moved under a lock in transactions: the three parts of the library joined."""

from ringfence.cluster.cluster import Cluster
from ringfence.cluster.rebalance import Rebalance
from ringfence.cluster.transaction import ClusterTransaction

__all__ = ["Cluster", "ClusterTransaction", "Rebalance"]
