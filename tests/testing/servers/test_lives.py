"""Every kind of server is started, stopped, killed, paused and started again, with and without its disk."""

import time
from collections.abc import Iterator

import pytest

from ringfence.testing.servers import KINDS, Server
from ringfence.testing.servers.tree import processes

pytestmark = pytest.mark.servers


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with KINDS[request.param]() as started:
        yield started


def test_a_life(server: Server) -> None:
    assert server.answers()
    url, folder = server.url, server.folder
    assert str(server.port) in url
    server.pause()
    assert set(processes(folder).values()) == {"T"}
    assert not server.answers()
    server.resume()
    answers_soon(server)
    server.kill()
    assert not processes(folder)
    assert not server.running()
    assert not server.answers()
    server.restart()
    assert server.url == url
    assert server.answers()
    server.pause()
    server.stop()  # a paused server ends, too
    assert not processes(folder)
    server.restart(keep_disk=False)
    assert server.url == url
    server.close()
    assert not folder.exists()
    assert not processes(folder)


def answers_soon(server: Server) -> None:
    deadline = time.monotonic() + 30
    while not server.answers():
        assert time.monotonic() < deadline
        time.sleep(0.05)
