"""Several servers that make one: started together and joined once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

from ringfence.testing.servers import tree
from ringfence.testing.servers.server import Server
from ringfence.testing.servers.single import SingleServer


class Group(Server):
    """Servers that make one.

    Attributes:
        members: the servers; each can be killed, paused and restarted for itself.
    """

    def __init__(self, members: Sequence[SingleServer]) -> None:
        self.members = tuple(members)
        self._joined = False

    @abstractmethod
    def join(self) -> None:
        """Make one of the members; they know each other from then on, even after they were killed."""

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

    def restart(self, *, keep_disk: bool = True) -> None:
        """End all members and start them again on the same ports; without their disks they are joined anew."""
        self.stop()
        if not keep_disk:
            for member in self.members:
                member.wipe()
            self._joined = False
        self.start()

    def close(self) -> None:
        """Kill all members and remove their folders."""
        for member in self.members:
            member.close()
