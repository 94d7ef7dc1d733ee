"""What every kind of server for tests can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Self

from ringfence.testing.servers.programs import Needed


class Server(ABC):
    """A server, of one process or of several; a context manager that starts and closes it.

    Attributes:
        needed: what it is made of.
    """

    needed: ClassVar[Needed]

    @property
    @abstractmethod
    def url(self) -> str:
        """The address by which ringfence opens it."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether it serves clients; never raises, and a silent server is given a second."""

    @abstractmethod
    def start(self) -> Self:
        """Start it, and return when it answers; what runs already is left alone.

        Raises:
            BackendUnavailable: it is not installed and cannot be downloaded, or does not come up.
        """

    @abstractmethod
    def stop(self) -> None:
        """End it politely; its disk stays for the next start."""

    @abstractmethod
    def kill(self) -> None:
        """End all its processes with SIGKILL; its disk stays for the next start."""

    @abstractmethod
    def pause(self) -> None:
        """Stop all its processes with SIGSTOP: connections are still accepted, and nothing is answered."""

    @abstractmethod
    def resume(self) -> None:
        """Let its processes go on after `pause`."""

    @abstractmethod
    def restart(self, *, keep_disk: bool = True) -> None:
        """End it if it runs, and start it on the same port.

        Args:
            keep_disk: false for a server that has lost everything.
        """

    @abstractmethod
    def close(self) -> None:
        """Kill it and remove its folder."""

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
