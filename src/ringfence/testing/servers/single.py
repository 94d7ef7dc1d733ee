"""A server with one main process: its folder, its port, its life."""

from __future__ import annotations

import shutil
import signal
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from ringfence.testing.servers import guardian, programs
from ringfence.testing.servers.folder import make_folder
from ringfence.testing.servers.ports import HOST, free_ports
from ringfence.testing.servers.process import AddressInUse, ServerProcess
from ringfence.testing.servers.server import Server

ATTEMPTS = 10


class SingleServer(Server):
    """A server with one main process.

    Attributes:
        host: where it listens: on the loopback interface alone.
        ports: the ports it was given at its first start, the one for clients first; it keeps them.
        folder: where it works; removed by `close`.
    """

    port_count: ClassVar[int] = 1
    polite: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self) -> None:
        self.host = HOST
        self.ports: list[int] = []
        self.folder = Path()
        self._process: ServerProcess | None = None

    @property
    def port(self) -> int:
        """The port for clients."""
        return self.ports[0]

    @abstractmethod
    def command(self, found: programs.Programs) -> Sequence[str | Path]:
        """Return the command that starts it."""

    def prepare(self, found: programs.Programs) -> None:
        """Make the data folder where there is none yet."""

    def start(self) -> Self:
        """Start it; on another port when somebody else was faster to take the first."""
        if self.running():
            return self
        found = programs.find(self.needed)
        if not self.folder.name:
            self.folder = make_folder()
        fresh = not self.ports
        for attempt in range(1, ATTEMPTS + 1):
            if fresh:
                self.ports = free_ports(self.port_count)
            try:
                return self._launch(found)
            except AddressInUse:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError

    def _launch(self, found: programs.Programs) -> Self:
        self.data.mkdir(exist_ok=True)
        self.prepare(found)
        self._process = ServerProcess(self.needed.kind, self.folder, self.command(found), found.environment())
        self._process.await_ready(self.answers)
        return self

    @property
    def data(self) -> Path:
        """Its disk."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What it has printed in all its lives."""
        return self.folder / "log"

    def running(self) -> bool:
        """Return whether its process lives; a paused one does."""
        return self._process is not None and self._process.running()

    def stop(self) -> None:
        """End it politely; its disk stays for the next start."""
        if self._process:
            self._process.stop(self.polite)

    def kill(self) -> None:
        """End all its processes with SIGKILL; its disk stays for the next start."""
        if self._process:
            self._process.kill()

    def pause(self) -> None:
        """Stop all its processes with SIGSTOP: connections are still accepted, and nothing is answered."""
        if self._process:
            self._process.pause()

    def resume(self) -> None:
        """Let its processes go on after `pause`."""
        if self._process:
            self._process.resume()

    def restart(self, *, keep_disk: bool = True) -> None:
        """End it if it runs, and start it on the same port."""
        self.stop()
        if not keep_disk:
            self.wipe()
        self.start()

    def wipe(self) -> None:
        """Remove all that it has on its disk; it must not run."""
        shutil.rmtree(self.data)

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        if self.folder.name:
            shutil.rmtree(self.folder, ignore_errors=True)
            guardian.release(self.folder)
            self.folder = Path()
