"""The places at a lock in etcd: each is a key, `prefix/locks/<name>/<owner>` or `prefix/shared/<name>/<owner>`.

The order in which the keys were made is the queue, and its head holds the lock: one place, or of a shared lock as many
as there are shares for. So nothing is written when the lock changes hands; the key of one who leaves is removed. A key
hangs on a lease of etcd, and its value says `seconds asked of`: how long that lease is, and the shares.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

from ringfence._etcd import KeyValue
from ringfence.errors import StoreError
from ringfence.locks import rules
from ringfence.locks.stores import Shared

PLAIN, SHARED = "locks", "shared"


class Place(NamedTuple):
    """One key.

    Attributes:
        key: all of it.
        lease: which lease of etcd it ends with.
        seconds: how long that lasts without being kept alive.
        asked: how many shares it takes.
        of: how many there are.
        revision: the revision of the store at which it was made; 0 before that.
    """

    key: str
    lease: int
    seconds: int
    asked: int
    of: int
    revision: int = 0

    @property
    def value(self) -> str:
        """What is written there."""
        return f"{self.seconds} {self.asked} {self.of}"


def folder(prefix: str, name: str) -> str:
    """Return what the keys of a lock begin with."""
    kind = SHARED if isinstance(name, Shared) else PLAIN
    return f"{prefix}/{kind}/{quote(name, safe='')}/"


def shares(name: str) -> tuple[int, int]:
    """Return how many shares are asked for, and how many there are; a plain lock has one."""
    return (name.asked, name.of) if isinstance(name, Shared) else (1, 1)


def read(kv: KeyValue) -> Place:
    """Return the place that a key is.

    Raises:
        StoreError: something else wrote there.
    """
    try:
        seconds, asked, of = map(int, kv.value.split())
        return Place(kv.key.decode(), kv.lease, seconds, asked, of, kv.create_revision)
    except ValueError:
        raise StoreError(
            f"key {kv.key!r} of etcd is no place at a lock, for its value is {kv.value!r}"
        ) from None


def names(place: Place, prefix: str) -> tuple[str, str]:
    """Return the names of the lock and of the owner that a place belongs to."""
    kind, name, owner = place.key.removeprefix(f"{prefix}/").split("/", 2)
    plain = unquote(name)
    return (plain if kind == PLAIN else Shared(plain, place.asked, place.of)), owner


def fence(origin: int, revision: int) -> int:
    """Return the first fence of the holder whose key was made at a revision.

    No two transactions have the same revision, so the numbers up to the next one's are the holder's.

    Args:
        origin: from which number this etcd counts.
        revision: of its store.
    """
    return origin + revision * rules.FENCES
