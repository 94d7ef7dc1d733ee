"""Several servers that make one: started together and joined once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import ClassVar, Self

from ringfence.testing.servers import tree
from ringfence.testing.servers.programs import Needed
from ringfence.testing.servers.server import Server


class Group(ABC):
    """Servers that make one; a context manager that starts and closes them.

    Attributes:
        members: the servers; each can be killed, paused and restarted for itself.
    """

    needed: ClassVar[Needed]

    def __init__(self, members: Sequence[Server]) -> None:
        self.members = tuple(members)
        self._joined = False

    @property
    @abstractmethod
    def url(self) -> str:
        """The address by which ringfence opens it."""

    @abstractmethod
    def join(self) -> None:
        """Make one of the members; they know each other from then on, even after they were killed."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether all members know each other and serve clients; never raises."""

    def start(self) -> Self:
        """Start the members that do not run, and return when they are one.

        Raises:
            BackendUnavailable: a member cannot be had or does not come up.
            TimeoutError: they do not become one.
        """
        for member in self.members:
            member.start()
        if not self._joined:
            self.join()
            self._joined = True
        tree.until(self.answers, f"the members of {self.url} did not find each other", patience=60)
        return self

    def stop(self) -> None:
        """End all members politely."""
        for member in self.members:
            member.stop()

    def kill(self) -> None:
        """End all members with SIGKILL."""
        for member in self.members:
            member.kill()

    def pause(self) -> None:
        """Stop all members with SIGSTOP."""
        for member in self.members:
            member.pause()

    def resume(self) -> None:
        """Let all members go on."""
        for member in self.members:
            member.resume()

    def restart(self) -> None:
        """End all members and start them again on the same ports, with their disks: without, they are no group."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Kill all members and remove their folders."""
        for member in self.members:
            member.close()

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
