"""A private server of any kind: its folder, its port, its life; and one that somebody else started."""

from __future__ import annotations

import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import urlsplit

from ringfence.errors import BackendUnavailable
from ringfence.testing.servers import guardian, programs
from ringfence.testing.servers.folder import make_folder
from ringfence.testing.servers.ports import HOST, free_ports
from ringfence.testing.servers.process import AddressInUse, ServerProcess

ATTEMPTS = 10


class Server(ABC):
    """A server of one process, started for tests; a context manager that starts and closes it.

    Attributes:
        needed: what it is made of.
        host: where it listens: on the loopback interface alone.
        ports: the ports it was given at its first start, the one for clients first; it keeps them.
        folder: where it works; removed by `close`.
    """

    needed: ClassVar[programs.Needed]
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

    @property
    @abstractmethod
    def url(self) -> str:
        """The address by which ringfence opens it."""

    @abstractmethod
    def command(self, found: programs.Programs) -> Sequence[str | Path]:
        """Return the command that starts it."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether it serves clients; never raises, never waits for more than a second."""

    def prepare(self, found: programs.Programs) -> None:  # noqa: B027 (most servers make their data folder themselves)
        """Make the data folder where there is none yet."""

    def start(self) -> Self:
        """Start it, and return when it answers; one that runs already is left alone.

        Raises:
            BackendUnavailable: it is not installed and cannot be downloaded, or does not come up.
        """
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
        """End it if it runs, and start it on the same port.

        Args:
            keep_disk: false for a server that has lost everything.
        """
        self.stop()
        if not keep_disk:
            shutil.rmtree(self.data)
        self.start()

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.kill()
        if self.folder.name:
            shutil.rmtree(self.folder, ignore_errors=True)
            guardian.release(self.folder)
            self.folder = Path()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ExternalServer:
    """A server that somebody else runs, named by an environment variable: used, never started or ended.

    Attributes:
        url: as the variable has it.
        host: the host in it.
        port: the port in it.
    """

    def __init__(self, variable: str, url: str) -> None:
        self.url = url
        parts = urlsplit(url.partition(",")[0])  # of several, the first
        self.host, self.port = parts.hostname or HOST, parts.port
        self._variable = variable

    def start(self) -> Self:
        """Do nothing: it runs."""
        return self

    def close(self) -> None:
        """Do nothing: it is not ours."""

    def _refuse(self, *_: object, **__: object) -> None:
        raise BackendUnavailable(
            f"{self._variable} names a server that was not started here, so it cannot be stopped, killed, paused or "
            f"restarted; unset {self._variable} to have a private one"
        )

    stop = kill = pause = resume = restart = _refuse
