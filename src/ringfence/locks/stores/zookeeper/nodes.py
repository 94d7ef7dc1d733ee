"""The nodes by which owners hold a lock or wait for it: what their names say, and whose turn it is.

Each owner has one ephemeral, sequential node in the folder of the lock, called `owner,asked,of-number`. Its owner id is
unique, so it is found again when the reply to its creation was lost. The number is its place in the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from ringfence._zookeeper import node_name
from ringfence.locks.stores import Shared
from ringfence.locks.stores.heads import holding

LAST = 2**31 - 1
"""Where ZooKeeper's sequence numbers of one folder end; it gives this one out again and again."""

BLOCK = 32
"""How many fences belong to one transaction of ZooKeeper. All who ever use a lock have to agree on it."""

_NAME = re.compile(r"([^,/]+),([0-9]+),([0-9]+)-([0-9]{10})")


class Node(NamedTuple):
    """A node in the folder of a lock.

    Attributes:
        number: its place in the line.
        owner: the id of one acquisition.
        asked: how many shares it asks for.
        of: how many there are, by its reckoning.
        name: its whole name.
    """

    number: int
    owner: str
    asked: int
    of: int
    name: str


@lru_cache(maxsize=8192, typed=True)
def folder(base: str, name: str) -> str:
    """Return the path of the folder of a lock; a shared lock has another than the plain one of its name."""
    return f"{base}/{'shared' if isinstance(name, Shared) else 'locks'}/{node_name(name)}"


def prefix(name: str, owner: str) -> str:
    """Return what ZooKeeper puts a number behind."""
    asked, of = _shares(name)
    return f"{quote(owner, safe='')},{asked},{of}-"


def is_usable(path: str) -> bool:
    """Say whether a node has a number of its own; after 2**31 - 1 of them a folder has none left."""
    return any(node.number < LAST for node in in_line([path.rpartition("/")[2]]))


def newcomer(name: str) -> Node:
    """Return the node that somebody would have who came now."""
    asked, of = _shares(name)
    return Node(LAST, "", asked, of, "")


def in_line(children: Iterable[str]) -> list[Node]:
    """Return the nodes of a folder in the order of their creation; what is none of ours is left out."""
    found = (_NAME.fullmatch(child) for child in children)
    return sorted(_node(match) for match in found if match is not None)


def _shares(name: str) -> tuple[int, int]:
    return (name.asked, name.of) if isinstance(name, Shared) else (1, 1)


def _node(match: re.Match[str]) -> Node:
    owner, asked, of, number = match.groups()
    return Node(int(number), unquote(owner), int(asked), int(of), match[0])


def place(line: Sequence[Node], path: str) -> int | None:
    """Return where in the line a node stands; its owner may have an older one, of a session that is lost."""
    name = path.rpartition("/")[2]
    return next((at for at, node in enumerate(line) if node.name == name), None)


def of_owner(line: Sequence[Node], owner: str) -> list[Node]:
    """Return the nodes of an owner."""
    return [node for node in line if node.owner == owner]


def in_the_way(line: Sequence[Node], at: int) -> list[Node]:
    """Return the nodes that the one waiting at `at` has to watch: unless one of them goes, it cannot have the lock.

    They are as few as can be, and the last ones. Of a plain lock that is the one before it; of a semaphore as many as
    it has permits; a writer watches the reader before it, and a reader the writer before it.
    """
    wanting = _excess(line, at)
    if wanting > 0:
        return _obstacles(line[:at], wanting)
    first = holding(line)  # it reckons with fewer shares, and stands before this one
    return [*_obstacles(line[:first], _excess(line, first)), line[first]]


def _excess(line: Sequence[Node], at: int) -> int:
    """Return how many shares are missing for the node at `at`."""
    return sum(node.asked for node in line[: at + 1]) - line[at].of


def _obstacles(ahead: Sequence[Node], wanting: int) -> list[Node]:
    """Leave out all who together have fewer shares than are wanting, the smallest and earliest first."""
    watched, left_out = [], 0
    for node in sorted(ahead, key=lambda node: node.asked):
        if left_out + node.asked < wanting:
            left_out += node.asked
        else:
            watched.append(node)
    return watched
