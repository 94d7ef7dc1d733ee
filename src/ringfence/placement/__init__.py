"""Where a key lives: the ring and other placements, their nodes, and what moves between two of them."""

from ringfence.placement.anchor import AnchorHash
from ringfence.placement.bounded import BoundedLoad, bounded_node
from ringfence.placement.jump import JumpHash, jump_hash, jump_hash_many
from ringfence.placement.key_diff import KeyDiff
from ringfence.placement.maglev import Maglev
from ringfence.placement.membership import Membership
from ringfence.placement.migration import Migration, Move
from ringfence.placement.multi_probe import MultiProbe
from ringfence.placement.node import Node
from ringfence.placement.plan import NodeLoad, Plan, Transfer
from ringfence.placement.protocol import Diff, Placement
from ringfence.placement.rendezvous import Rendezvous
from ringfence.placement.ring import HashRing

__all__ = [
    "AnchorHash",
    "BoundedLoad",
    "Diff",
    "HashRing",
    "JumpHash",
    "KeyDiff",
    "Maglev",
    "Membership",
    "Migration",
    "Move",
    "MultiProbe",
    "Node",
    "NodeLoad",
    "Placement",
    "Plan",
    "Rendezvous",
    "Transfer",
    "bounded_node",
    "jump_hash",
    "jump_hash_many",
]
