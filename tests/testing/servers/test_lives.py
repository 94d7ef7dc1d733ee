"""Every kind of server is started, stopped, killed, paused and started again, with and without its disk."""

import time
from collections.abc import Callable, Iterator

import pytest

from ringfence.testing.servers import KINDS, Group, Server, SingleServer
from ringfence.testing.servers.tree import processes

pytestmark = pytest.mark.servers


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with KINDS[request.param]() as started:
        yield started


def states(server: Server) -> set[str]:
    """Return the states of all processes of a server."""
    members = server.members if isinstance(server, Group) else [server]
    folders = [member.folder for member in members if isinstance(member, SingleServer)]
    assert folders
    return {state for folder in folders for state in processes(folder).values()}


def test_a_life(server: Server) -> None:
    assert server.answers()
    url = server.url
    server.pause()
    assert states(server) == {"T"}
    assert not server.answers()
    server.resume()
    soon(server.answers)
    server.kill()
    assert not states(server)
    assert not server.answers()
    server.restart()
    assert server.url == url
    assert server.answers()
    server.pause()
    server.stop()  # a paused server ends, too
    assert not states(server)
    server.restart(keep_disk=False)
    assert server.url == url
    assert server.answers()


def soon(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
