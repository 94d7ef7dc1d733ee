"""The faults of the proxy, seen by a client and by a server that echoes lines."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from ringfence.testing.proxy import TO_CLIENT, TO_SERVER, Proxy

WAIT = 30.0
SOON = 0.2
"""Seconds for which nothing may come."""


class Echo(socketserver.StreamRequestHandler):
    """Answers each line with itself in capitals, and remembers what it read and how it ended."""

    def handle(self) -> None:
        assert isinstance(self.server, EchoServer)
        try:
            for line in self.rfile:
                self.server.read.append(line)
                self.wfile.write(line.upper())
            self.server.ends.append("end")
        except OSError:
            self.server.ends.append("error")


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.ends: list[str] = []
        super().__init__(("127.0.0.1", 0), Echo)

    def ended(self, count: int = 1) -> list[str]:
        deadline = time.monotonic() + WAIT
        while len(self.ends) < count:
            assert time.monotonic() < deadline, "the server did not see an end"
            time.sleep(0.01)
        return self.ends


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with EchoServer() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join(WAIT)


@pytest.fixture
def proxy(server: EchoServer) -> Iterator[Proxy]:
    with Proxy(server.server_address[1]) as made:
        yield made


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connect(proxy) as made:
        assert ask(made, b"hello\n") == b"HELLO\n"
        yield made


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), WAIT)


def ask(client: socket.socket, line: bytes) -> bytes:
    client.sendall(line)
    return answer(client)


def answer(client: socket.socket) -> bytes:
    """Return what comes until the end of a line or of the stream."""
    text = b""
    while not text.endswith(b"\n") and (piece := client.recv(100)):
        text += piece
    return text


def silent(client: socket.socket) -> bool:
    client.settimeout(SOON)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(WAIT)
    return False


def test_everything_goes_through(proxy: Proxy, server: EchoServer, client: socket.socket) -> None:
    line = b"x" * 1_000_000 + b"\n"
    threading.Thread(target=client.sendall, args=(line,)).start()
    assert answer(client) == line.upper()
    client.shutdown(socket.SHUT_WR)
    assert answer(client) == b""
    assert server.ended() == ["end"]


def test_hold_keeps_requests(proxy: Proxy, server: EchoServer, client: socket.socket) -> None:
    proxy.hold(TO_SERVER)
    client.sendall(b"held\n")
    assert silent(client)
    assert server.read == [b"hello\n"]
    proxy.flow()
    assert answer(client) == b"HELD\n"


def test_hold_keeps_replies(proxy: Proxy, server: EchoServer, client: socket.socket) -> None:
    proxy.hold(TO_CLIENT)
    client.sendall(b"held\n")
    assert silent(client)
    assert server.read == [b"hello\n", b"held\n"]
    proxy.flow()
    assert answer(client) == b"HELD\n"


@pytest.mark.parametrize("last", [b"", b"last\n"])
def test_hold_keeps_the_end_of_a_connection(
    proxy: Proxy, server: EchoServer, client: socket.socket, last: bytes
) -> None:
    proxy.hold()
    client.sendall(last)
    client.close()
    time.sleep(SOON)
    assert server.ends == []
    assert server.read == [b"hello\n"]
    proxy.flow()
    server.ended()
    assert b"".join(server.read) == b"hello\n" + last


def test_hold_keeps_a_reset(proxy: Proxy, server: EchoServer, client: socket.socket) -> None:
    proxy.hold()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    time.sleep(SOON)
    assert server.ends == []
    proxy.flow()
    assert server.ended() == ["error"]


def test_cut_is_an_end_for_both(proxy: Proxy, server: EchoServer, client: socket.socket) -> None:
    proxy.cut()
    assert answer(client) == b""
    assert server.ended() == ["end"]


def test_reset_is_an_error_for_both(proxy: Proxy, server: EchoServer, client: socket.socket) -> None:
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert server.ended() == ["error"]


def test_refuse_and_accept(proxy: Proxy, client: socket.socket) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert ask(client, b"still here\n") == b"STILL HERE\n"
    proxy.accept()
    with connect(proxy) as other:
        assert ask(other, b"again\n") == b"AGAIN\n"


def test_latency(proxy: Proxy, client: socket.socket) -> None:
    proxy.latency(0.1)
    before = time.monotonic()
    assert ask(client, b"slow\n") == b"SLOW\n"
    assert time.monotonic() - before >= 0.2  # there and back
    proxy.latency(0)
    assert ask(client, b"fast\n") == b"FAST\n"


def test_the_third_reply_is_lost(proxy: Proxy, server: EchoServer, client: socket.socket) -> None:
    proxy.lose_reply(3)
    assert [ask(client, line) for line in (b"1\n", b"2\n")] == [b"1\n", b"2\n"]
    with pytest.raises(ConnectionResetError):
        ask(client, b"3\n")
    assert server.read[-1] == b"3\n"  # it was done
    with connect(proxy) as other:
        assert ask(other, b"4\n") == b"4\n"


@pytest.mark.parametrize("count", range(5))
def test_a_request_is_cut_at_every_point(
    proxy: Proxy, server: EchoServer, client: socket.socket, count: int
) -> None:
    proxy.cut_after(count, TO_SERVER)
    with pytest.raises(ConnectionResetError):
        ask(client, b"abcd\n")
    server.ended()
    assert b"".join(server.read) == b"hello\n" + b"abcd\n"[:count]
    with connect(proxy) as other:
        assert ask(other, b"again\n") == b"AGAIN\n"


@pytest.mark.parametrize("count", range(5))
def test_a_reply_is_cut_at_every_point(
    proxy: Proxy, server: EchoServer, client: socket.socket, count: int
) -> None:
    proxy.cut_after(count, TO_CLIENT)
    assert ask(client, b"abcd\n") == b"ABCD\n"[:count]
    assert server.ended() == ["error"]


def test_half_open_without_the_server(proxy: Proxy, server: EchoServer, client: socket.socket) -> None:
    proxy.half_open(TO_SERVER)
    assert server.ended() == ["error"]
    client.sendall(b"anybody?\n")
    assert silent(client)
    with connect(proxy) as other:
        assert ask(other, b"here\n") == b"HERE\n"


def test_half_open_without_the_client(proxy: Proxy, server: EchoServer, client: socket.socket) -> None:
    proxy.half_open(TO_CLIENT)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    time.sleep(SOON)
    assert server.ends == []


def test_no_server_behind_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with (
            Proxy(taken.getsockname()[1]) as proxy,
            contextlib.suppress(ConnectionResetError),
            connect(proxy) as client,
        ):
            assert answer(client) == b""


def test_close_ends_connections_that_are_being_accepted(server: EchoServer) -> None:
    for _ in range(30):
        proxy = Proxy(server.server_address[1])
        with connect(proxy) as client:
            proxy.close()
            with contextlib.suppress(ConnectionResetError):  # the listener or the proxy resets it
                assert client.recv(1) == b""


def test_close_ends_the_thread(server: EchoServer) -> None:
    before = threading.active_count()
    proxy = Proxy(server.server_address[1])
    with connect(proxy) as client:
        assert ask(client, b"hello\n") == b"HELLO\n"
        proxy.close()
        proxy.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert threading.active_count() <= before + 1  # the server's own for that connection may still end
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
