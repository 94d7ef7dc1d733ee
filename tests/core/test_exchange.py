"""Requests and answers on a socket that threads share, compiled and interpreted alike."""

import socket
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from ringfence._core import IMPLEMENTATION, _twins
from ringfence._core import exchange as chosen
from ringfence.errors import StoreTimeout

PATIENCE = 30.0


@pytest.fixture(scope="module", params=["c", "python"])
def exchange(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == IMPLEMENTATION:
        return chosen
    if request.param == "c" and _twins.extension("exchange") is None:
        pytest.skip("not compiled here")
    return _twins.load("exchange", request.param, prefix="other_twin")


class Replies:
    rest = b""


def connected(exchange: ModuleType, sock: socket.socket) -> Any:
    class Connection(exchange.Exchange):  # type: ignore[name-defined, misc]
        """What a connection adds, noted."""

        def __init__(self) -> None:
            super().__init__(sock, plain=True)
            self._replies = Replies()
            self.lost: str | None = None
            self.seen: list[object] = []

        def received(self, data: bytes) -> None:
            self.seen.append(data)
            for reply in data.split(b"\r\n")[:-1]:
                self._answered(reply)

        def give_up(self, reason: str) -> None:
            self.lost = self.lost or reason
            while self._unanswered:
                self._answered(reason)

        def _settled(self, slot: Any) -> Any:
            return slot.value

    return Connection()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        far.settimeout(PATIENCE)
        yield near, far


Ends = tuple[socket.socket, socket.socket]


@pytest.mark.parametrize("number", [0, 7, -12, 2**53, 10**16 + 1])
def test_an_integer_is_the_answer(exchange: ModuleType, ends: Ends, number: int) -> None:
    connection = connected(exchange, ends[0])
    ends[1].sendall(b":%d\r\n" % number)
    assert connection.ask(b"what") == number
    assert ends[1].recv(100) == b"what"
    assert connection.seen == []


@pytest.mark.parametrize(
    "data", [b"+OK\r\n", b":1x\r\n", b":\r\n", b":-\r\n", b":1\r\n:2\r\n", b"\r\n", b":1\n\r\n"]
)
def test_anything_else_is_left_to_the_connection(exchange: ModuleType, ends: Ends, data: bytes) -> None:
    connection = connected(exchange, ends[0])
    ends[1].sendall(data)
    connection.ask(b"what")
    assert connection.seen == [data]


def test_what_follows_half_an_answer_is_left_to_the_connection(exchange: ModuleType, ends: Ends) -> None:
    connection = connected(exchange, ends[0])
    connection._replies.rest = b"$4\r\n"
    ends[1].sendall(b":1\r\n")
    connection.ask(b"what")
    assert connection.seen == [b":1\r\n"]


def test_a_long_request_arrives_whole(exchange: ModuleType, ends: Ends) -> None:
    connection = connected(exchange, ends[0])
    request = bytes(range(256)) * 20_000
    got = bytearray()

    def read() -> None:
        while len(got) < len(request):
            got.extend(ends[1].recv(65536))
        ends[1].sendall(b":1\r\n")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert connection.ask(request) == 1
    reader.join(PATIENCE)
    assert got == request


def test_the_end_of_a_connection_is_told(exchange: ModuleType, ends: Ends) -> None:
    connection = connected(exchange, ends[0])
    ends[1].shutdown(socket.SHUT_WR)
    assert connection.ask(b"what") == connection.lost == exchange.HUNG_UP
    with pytest.raises(StoreTimeout, match="nothing was sent"):
        connection.ask(b"more")
    assert ends[1].recv(100) == b"what"


def test_nobody_waits_for_an_answer_that_another_has_read(exchange: ModuleType, ends: Ends) -> None:
    """Another thread may read it between the sending and the reading, and nothing more may come for long."""
    ends[0].settimeout(PATIENCE)
    connection = connected(exchange, ends[0])
    reading = connection._reading

    class Late:
        """The right to read, which is had only when another reader has read everything."""

        def acquire(self, blocking: bool) -> bool:
            connection._read()
            return bool(reading.acquire(blocking))

        def release(self) -> None:
            reading.release()

    connection._reading = Late()
    ends[1].sendall(b":5\r\n")
    answers: list[object] = []
    asker = threading.Thread(target=lambda: answers.append(connection.ask(b"what")), daemon=True)
    asker.start()
    asker.join(PATIENCE / 3)
    assert answers == [5]
