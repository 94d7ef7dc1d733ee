"""Requests packed once for each lock, and replies read without copies of our own: RESP3 without any I/O."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ringfence.errors import StoreError, StoreTimeout
from ringfence.locks.stores.redis import scripts, shared_scripts
from ringfence.locks.stores.redis.scripts import Script

_INTEGER = ord(":")
_TRANSIENT = ("LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN")
_REDIRECTIONS = ("MOVED", "ASK")


class Refusal(str):
    """An error the server answered; nothing was changed."""

    __slots__ = ()


class Redirected(StoreError):
    """Another node of a cluster serves the slot of the lock; nothing was changed.

    Attributes:
        address: of that node, `host:port`; without a host it is the one that was asked.
        asking: it serves the slot only for who says so each time, until all of it has moved there.
    """

    def __init__(self, answer: str) -> None:
        kind, _, self.address = answer.split(" ", 2)
        self.asking = kind == "ASK"
        super().__init__(
            f"the lock is kept by {self.address}, of a cluster; write redis+cluster:// in the URL"
        )


class Pushed(list[Any]):
    """What the server sent unasked."""

    __slots__ = ()


def bulk(text: str) -> bytes:
    """Return one argument of a request."""
    data = text.encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def identity(fence: int, owner: str) -> bytes:
    """Return the two last arguments of a request about what somebody holds."""
    number, name = b"%d" % fence, owner.encode()
    return b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(number), number, len(name), name)


def command(*words: str) -> bytes:
    """Return a whole request."""
    return b"*%d\r\n" % len(words) + b"".join(map(bulk, words))


def micros(seconds: float) -> str:
    """Return a time as the scripts take it."""
    return str(int(seconds * 1_000_000))


def tag(name: str) -> str:
    """Return what the keys of a lock have in braces; a closing brace in the name would end it too early."""
    return name.replace("%", "%25").replace("}", "%7D")


def untag(key: str) -> str:
    """Return the name of the lock that has this key."""
    return key[key.index("{") + 1 : key.rindex("}")].replace("%7D", "}").replace("%25", "%")


def lease_key(name: str) -> str:
    """Return the key of a lock's lease."""
    return key(name, "lease")


def key(name: str, kind: str) -> str:
    """Return a key of a lock."""
    return f"ringfence:{{{tag(name)}}}:{kind}"


@lru_cache(maxsize=8192)
def call(script: Script, name: str, *arguments: str, more: int = 1) -> bytes:
    """Return the beginning of a request to run a script on a lock, by its digest; it is packed once.

    Args:
        script: the script.
        name: the lock.
        arguments: those that are often the same.
        more: how many arguments follow, each as `bulk`.
    """
    prefix = f"ringfence:{{{tag(name)}}}:"
    words = (
        "EVALSHA",
        script.sha,
        str(len(script.keys)),
        *(prefix + key for key in script.keys),
        *arguments,
    )
    return b"*%d\r\n" % (len(words) + more) + b"".join(map(bulk, words))


def whole(request: bytes) -> bytes:
    """Return a request by digest with the script's text instead, for a server that does not have it (any more)."""
    for script in (*scripts.SCRIPTS, *shared_scripts.SCRIPTS):
        by_digest = bulk("EVALSHA") + bulk(script.sha)
        request = request.replace(by_digest, bulk("EVAL") + bulk(script.text), 1)
    return request


def is_unknown_script(answer: object) -> bool:
    """Say whether the server has lost its scripts; the request was not carried out."""
    return type(answer) is Refusal and answer.startswith("NOSCRIPT")


def checked(answer: Any) -> Any:
    """Return an answer.

    Raises:
        Redirected: another node of a cluster is to be asked.
        StoreTimeout: it is a refusal that will pass.
        StoreError: it is another refusal.
    """
    if type(answer) is not Refusal:
        return answer
    kind = answer.split(" ", 1)[0]
    if kind in _REDIRECTIONS:
        raise Redirected(answer)
    if kind in _TRANSIENT:
        raise StoreTimeout(f"Redis cannot serve the lock now ({answer}); nothing was changed, try again")
    raise StoreError(f"Redis refused ({answer}); nothing was changed")


class Replies:
    """Takes bytes as they come and gives the replies that are complete.

    An integer is an int, an error a `Refusal`, a string `bytes`, a list or map a list, what comes unasked `Pushed`.
    """

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[Any]:
        """Take in what was received, and return the replies that are complete now."""
        if self.rest:
            data = self.rest + data
        if data[0] == _INTEGER and data.endswith(b"\r\n"):
            try:
                integers = [int(reply) for reply in data[1:-2].split(b"\r\n:")]
            except ValueError:  # there is more than integers
                pass
            else:
                self.rest = b""
                return integers
        replies, at = [], 0
        try:
            while at < len(data):
                reply, at = _reply(data, at)
                replies.append(reply)
        except _IncompleteError:
            pass
        self.rest = data[at:]
        return replies


class _IncompleteError(Exception):
    pass


def _reply(data: bytes, at: int) -> tuple[Any, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise _IncompleteError
    kind, head, at = data[at], data[at + 1 : end], end + 2
    if kind == _INTEGER:
        return int(head), at
    if kind in (36, 61):  # $, and = for what INFO says
        return _string(data, at, int(head))
    if kind in b"*>%":
        items, at = _items(data, at, int(head) * (2 if kind == 37 else 1))
        return Pushed(items) if kind == 62 else items, at
    if kind == 45:  # -
        return Refusal(head.decode(errors="replace")), at
    return None if kind == 95 else head, at


def _string(data: bytes, at: int, length: int) -> tuple[bytes | None, int]:
    if length < 0:
        return None, at
    if len(data) < at + length + 2:
        raise _IncompleteError
    return data[at : at + length], at + length + 2


def _items(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        item, at = _reply(data, at)
        items.append(item)
    return items, at
