"""Where a key lives: the ring, its nodes, and what moves between two rings."""

from ringfence.placement.migration import Migration, Move
from ringfence.placement.node import Node
from ringfence.placement.ring import HashRing

__all__ = ["HashRing", "Migration", "Move", "Node"]
