"""One connection without its I/O: what was asked and not answered yet, and who waits for a push."""

from __future__ import annotations

import re
import secrets
from collections import deque
from typing import Generic, Protocol, TypeVar

from ringfence._core.exchange import HUNG_UP
from ringfence.errors import OutcomeUnknown
from ringfence.locks.stores import Push
from ringfence.locks.stores.redis.scripts import PUSH
from ringfence.locks.stores.redis.wire import Pushed, Refusal, Replies, bulk


class Slot(Protocol):
    """Where somebody waits for a push."""

    def settle(self, value: object) -> None:
        """Put the push there; a second one is ignored."""


class HungUp(OutcomeUnknown):
    """The server closed the connection, perhaps long before the request: what may be asked twice, ask again."""


class Lost:
    """Stands for the answer that a lost connection did not bring."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def error(self) -> OutcomeUnknown:
        """Return what to raise."""
        kind = HungUp if self.reason == HUNG_UP else OutcomeUnknown
        return kind(f"Redis did not answer ({self.reason}); ask again")


A = TypeVar("A")
W = TypeVar("W", bound=Slot)


class Line(Generic[A, W]):
    """The order of requests and answers on one connection; `A` is where an answer goes, `W` where a push goes.

    Attributes:
        channel: where pushes for this connection are published; nobody listens there any more once it is lost.
        waiters: who waits for a push, by owner.
        lost: why the connection was given up; None while it works.
    """

    def __init__(self) -> None:
        self.channel = f"ringfence:{secrets.token_hex(8)}"
        self.waiters: dict[str, W] = {}
        self.lost: str | None = None
        self._unanswered: deque[A] = deque()
        self._replies = Replies()
        self._push = message(self.channel)

    def received(self, data: bytes) -> None:
        """Hand the answers in some bytes to those who wait for them."""
        push = None if self._replies.rest else self._push.fullmatch(data)
        if push is not None and int(push[1]) == len(push[2]):  # a push by itself is what most who wait get
            self._told(push[2])
            return
        for value in self._replies.feed(data):
            if type(value) is int:
                self._answered(value)
            elif type(value) is Pushed and value[0] != b"subscribe":
                self._pushed(value)
            else:
                self._answered(value)
                if type(value) is Refusal and value.startswith("READONLY"):
                    self.give_up("the server has become a replica")

    def give_up(self, reason: str) -> None:
        """Tell everyone who waits that no answer will come."""
        self.lost = self.lost or reason
        lost = Lost(reason)
        while self._unanswered:
            self._answered(lost)
        for waiter in self.waiters.copy().values():
            waiter.settle(lost)

    def _answered(self, value: object) -> None:
        """Hand an answer to the first who waits for one."""
        raise NotImplementedError

    def _pushed(self, value: Pushed) -> None:
        if value[0] == b"message":
            self._told(value[2])

    def _told(self, message: bytes) -> None:
        waiter = self.waiters.get(message[PUSH.size :].decode())
        if waiter is not None:
            fence, age = PUSH.unpack_from(message)
            waiter.settle(Push(int(fence), age / 1e6))


def message(channel: str) -> re.Pattern[bytes]:
    """Return what a message on a channel looks like: how long it is, and what it says."""
    head = b">3\r\n$7\r\nmessage\r\n" + bulk(channel)
    return re.compile(re.escape(head) + rb"\$(\d+)\r\n(.*)\r\n", re.DOTALL)
