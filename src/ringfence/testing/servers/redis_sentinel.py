"""A private Redis with a replica, and three Sentinels that watch them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ringfence.testing.servers import resp
from ringfence.testing.servers.group import Group
from ringfence.testing.servers.ports import HOST
from ringfence.testing.servers.programs import Programs
from ringfence.testing.servers.redis import PROGRAMS, Redis
from ringfence.testing.servers.single import SingleServer

NAME = "primary"
SENTINELS = 3
QUORUM = 2


class Sentinel(SingleServer):
    """One Sentinel; what it learns is written into its configuration."""

    needed = Redis.needed

    def __init__(self, watched: Redis, down_after: int) -> None:
        super().__init__()
        self._watched = watched
        self._down_after = down_after

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:PORT` of the Sentinel itself."""
        return f"redis://{HOST}:{self.port}"

    def prepare(self, found: Programs) -> None:  # noqa: ARG002
        """Write the first configuration."""
        settings = self.data / "sentinel.conf"
        if not settings.exists():
            lines = [
                f"port {self.port}",
                f"bind {HOST}",
                f"dir {self.data}",
                f"sentinel monitor {NAME} {HOST} {self._watched.port} {QUORUM}",
                f"sentinel down-after-milliseconds {NAME} {self._down_after}",
                f"sentinel failover-timeout {NAME} {max(4 * self._down_after, 2000)}",
            ]
            settings.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def command(self, found: Programs) -> Sequence[str | Path]:
        """Return the command."""
        return [found.program(*PROGRAMS), self.data / "sentinel.conf", "--sentinel"]

    def answers(self) -> bool:
        """Return whether it is up."""
        try:
            return bool(resp.ask(self.port, "PING") == b"PONG")
        except (OSError, resp.Refused):
            return False

    def knows_all(self) -> bool:
        """Return whether it has found the replica and the other Sentinels."""
        answer = resp.ask(self.port, "SENTINEL", "MASTER", NAME)
        facts = dict(zip(answer[::2], answer[1::2], strict=True))
        others = int(facts[b"num-other-sentinels"])
        return facts[b"flags"] == b"master" and int(facts[b"num-slaves"]) >= 1 and others == SENTINELS - 1


class RedisSentinel(Group):
    """A primary, its replica, and three Sentinels of which two must agree.

    Args:
        down_after: milliseconds after which a silent primary counts as down. On a busy machine a short time makes
            the replica take over though nobody failed, so it is short only where a test waits for that.
        durable: every write is on the disk before it is answered.

    Attributes:
        name: by which the Sentinels know the primary.
        servers: the two that hold data; at first the first one is the primary.
        sentinels: the three.
    """

    needed = Redis.needed
    name = NAME

    def __init__(self, *, down_after: int = 5000, durable: bool = False) -> None:
        first = Redis(durable=durable)
        self.servers = (first, Redis(durable=durable, replica_of=first))
        self.sentinels = tuple(Sentinel(first, down_after) for _ in range(SENTINELS))
        super().__init__((*self.servers, *self.sentinels))

    @property
    def url(self) -> str:
        """`redis+sentinel://127.0.0.1:PORT,…/primary` with all Sentinels."""
        return f"redis+sentinel://{','.join(f'{HOST}:{one.port}' for one in self.sentinels)}/{NAME}"

    def primary(self) -> Redis:
        """Return the server that the Sentinels name now."""
        _, port = resp.ask(self.sentinels[0].port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return next(server for server in self.servers if server.port == int(port))

    def join(self) -> None:
        """Do nothing: the Sentinels find each other through the primary, in some seconds."""

    def answers(self) -> bool:
        """Return whether the Sentinels have found everybody and the replica is up to date."""
        try:
            roles = [resp.ask(server.port, "ROLE") for server in self.servers]
            followed = any(role[0] == b"slave" and role[3] == b"connected" for role in roles)
            return followed and all(one.knows_all() for one in self.sentinels)
        except (OSError, resp.Refused):
            return False
