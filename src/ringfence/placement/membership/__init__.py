"""Live membership: a ring that follows a list of nodes, a file, or nodes that register themselves."""

from ringfence.placement.membership.changes import Change, Changes
from ringfence.placement.membership.membership import Membership
from ringfence.placement.membership.phi import PhiAccrual
from ringfence.placement.membership.registration import Registration
from ringfence.placement.membership.sources import Entry, Member, Registry, Source, Standing
from ringfence.placement.membership.sources.etcd import EtcdSource
from ringfence.placement.membership.sources.file import FileSource
from ringfence.placement.membership.sources.memory import MemoryGroup, MemorySource
from ringfence.placement.membership.sources.redis import RedisSource
from ringfence.placement.membership.sources.static import StaticSource
from ringfence.placement.membership.sources.zookeeper import ZooKeeperSource

__all__ = [
    "Change",
    "Changes",
    "Entry",
    "EtcdSource",
    "FileSource",
    "Member",
    "Membership",
    "MemoryGroup",
    "MemorySource",
    "PhiAccrual",
    "RedisSource",
    "Registration",
    "Registry",
    "Source",
    "Standing",
    "StaticSource",
    "ZooKeeperSource",
]
