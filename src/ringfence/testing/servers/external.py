"""A server that somebody else started."""

from __future__ import annotations

import socket
from typing import Never, Self
from urllib.parse import urlsplit

from ringfence.errors import BackendUnavailable
from ringfence.testing.servers.server import Server


class ExternalServer(Server):
    """A server that an environment variable names: used, and never started or ended."""

    def __init__(self, variable: str, url: str) -> None:
        self._variable = variable
        self._url = url

    @property
    def url(self) -> str:
        """What the variable says."""
        return self._url

    def answers(self) -> bool:
        """Return whether somebody listens at the first address."""
        first = urlsplit(self._url.partition(",")[0])
        try:
            with socket.create_connection((first.hostname or "", first.port or 0), 1):
                return True
        except OSError:
            return False

    def start(self) -> Self:
        """Do nothing: it runs."""
        return self

    def close(self) -> None:
        """Do nothing: it is not ours."""

    def stop(self) -> None:
        """Refuse."""
        self._refuse("stopped")

    def kill(self) -> None:
        """Refuse."""
        self._refuse("killed")

    def pause(self) -> None:
        """Refuse."""
        self._refuse("paused")

    def resume(self) -> None:
        """Refuse."""
        self._refuse("resumed")

    def restart(self, *, keep_disk: bool = True) -> None:  # noqa: ARG002
        """Refuse."""
        self._refuse("restarted")

    def _refuse(self, what: str) -> Never:
        raise BackendUnavailable(
            f"{self._variable} names a server that was not started here, so it cannot be {what}; unset "
            f"{self._variable} to have a private one"
        )
