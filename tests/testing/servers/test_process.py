"""What happens to servers whose start fails, whose port is taken, and whose parent dies."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ringfence.errors import BackendUnavailable
from ringfence.testing.servers import folder, process, single, tree
from ringfence.testing.servers.ports import HOST, free_ports
from ringfence.testing.servers.programs import Needed, Programs
from ringfence.testing.servers.single import SingleServer

LISTEN = """
import os, socket, sys, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
open("data/kept", "a").write("x")
if not os.fork():
    os.setsid()  # as PostgreSQL's children do: no process group reaches it
    time.sleep(600)
while True:
    listener.accept()[0].close()
"""
WAIT = 30.0


class Listener(SingleServer):
    """Accepts connections, and has a child in a session of its own."""

    needed = Needed("listener", ("python3",), (("python3",),))
    program = LISTEN

    @property
    def url(self) -> str:
        return f"tcp://{HOST}:{self.port}"

    def command(self, found: Programs) -> Sequence[str | Path]:
        return [sys.executable, "-c", self.program, str(self.port)]

    def answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), 1) as connection:
                return connection.recv(1) == b""
        except OSError:
            return False


class Broken(Listener):
    """Ends at its start."""

    program = "print('the flux is not aligned'); raise SystemExit(3)"


class Silent(Listener):
    """Never answers."""

    program = "print('waiting for godot', flush=True); import time; time.sleep(600)"


def test_a_failed_start_shows_the_log() -> None:
    with pytest.raises(
        BackendUnavailable, match=r"listener ended .* exit code 3; .*\nthe flux is not aligned"
    ):
        Broken().start()


def test_a_silent_start_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "READY", 1.0)
    server = Silent()
    with pytest.raises(BackendUnavailable, match=r"did not answer within 1 s; .*\nwaiting for godot"):
        server.start()
    assert not tree.processes(server.folder)
    server.close()


def test_a_taken_port_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        number = taken.getsockname()[1]
        offers = iter([[number], free_ports(1)])
        monkeypatch.setattr(single, "free_ports", lambda count: next(offers))
        with Listener() as server:
            assert server.port != number
            assert server.answers()


def test_ports_are_free_and_different() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert all(12000 <= port <= 32000 for port in ports)


def test_a_parent_that_dies_at_once() -> None:
    """Before its guard has come to listen."""
    program = (
        "import os; from ringfence.testing.servers import folder; print(folder.make_folder(), flush=True)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", f"{program}; os.kill(os.getpid(), 9)"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, env=environment, timeout=60, check=False
    )
    soon(lambda: not Path(done.stdout.strip()).exists())


def test_children_in_sessions_of_their_own_are_reached() -> None:
    with Listener() as server:
        soon(lambda: len(tree.processes(server.folder)) == 2)
        server.pause()
        assert list(tree.processes(server.folder).values()) == ["T", "T"]
        assert not server.answers()
        server.resume()
        assert server.answers()
        server.kill()
        assert not tree.processes(server.folder)


def test_the_disk_stays_or_goes() -> None:
    with Listener() as server:
        server.restart()
        assert (server.data / "kept").read_text() == "xx"
        server.restart(keep_disk=False)
        assert (server.data / "kept").read_text() == "x"
        kept = server.folder
    assert not kept.exists()


@pytest.mark.parametrize("long", [False, True])
def test_folders_leave_room_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: bool) -> None:
    usual = tmp_path / ("x" * 100) if long else Path("/tmp")
    monkeypatch.setattr(tempfile, "tempdir", str(usual))
    made = folder.make_folder()
    assert len(os.fsencode(made / "data" / ".s.PGSQL.12345.lock")) < 108
    made.rmdir()


PARENT = """
import sys, time
sys.path[:0] = [{tests!r}]
from test_process import Listener
server = Listener().start()
print(server.folder, flush=True)
{then}
"""


@pytest.mark.parametrize("end", ["kill", "exit", "paused"])
def test_nothing_outlives_the_parent(end: str) -> None:
    then = {"kill": "time.sleep(600)", "exit": "", "paused": "server.pause(); time.sleep(600)"}[end]
    program = PARENT.format(tests=str(Path(__file__).parent), then=then)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        try:
            assert parent.stdout
            place = Path(parent.stdout.readline().strip())
            assert place.name.startswith("ringfence-")
            if end == "paused":
                soon(lambda: set(tree.processes(place).values()) == {"T"})
            if end != "exit":
                parent.send_signal(signal.SIGKILL)
            parent.wait(WAIT)
        finally:
            parent.kill()
    soon(lambda: not tree.processes(place) and not place.exists())


def soon(true: object) -> None:
    assert callable(true)
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
