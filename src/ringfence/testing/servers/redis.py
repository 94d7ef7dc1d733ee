"""A private Redis (or Valkey)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ringfence.testing.servers import resp
from ringfence.testing.servers.ports import HOST
from ringfence.testing.servers.programs import Needed, Programs
from ringfence.testing.servers.single import SingleServer

PROGRAMS = ("redis-server", "valkey-server")


class Redis(SingleServer):
    """One Redis; it forgets everything when it ends, unless it is `durable`.

    Args:
        durable: every write is on the disk (`appendfsync always`) before it is answered.
        options: more of its configuration, for example `{"requirepass": "secret"}`.
        replica_of: a started server whose data it copies.
    """

    needed = Needed("redis", ("redis-server",), (PROGRAMS,))

    def __init__(
        self,
        *,
        durable: bool = False,
        options: Mapping[str, str | int] | None = None,
        replica_of: Redis | None = None,
    ) -> None:
        super().__init__()
        self._replica_of = replica_of
        self.options = {**(options or {})}
        self._durable = durable

    @property
    def url(self) -> str:
        """`redis://127.0.0.1:PORT/0`, with the password if there is one."""
        return f"redis://{self._password}{HOST}:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """The same server through its Unix socket."""
        return f"unix://{self._password}{self.folder}/redis.sock"

    @property
    def _password(self) -> str:
        word = self.options.get("requirepass")
        return f":{word}@" if word else ""

    def command(self, found: Programs) -> Sequence[str | Path]:
        """Return the command; what it keeps is in `data`."""
        options = {
            "port": self.port,
            "bind": HOST,
            "unixsocket": self.folder / "redis.sock",
            "dir": self.data,
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "always",
            "enable-debug-command": "yes",
            "repl-diskless-sync-delay": 0,  # a new replica is not made to wait for others
            "repl-ping-replica-period": 1,  # a cluster names a replica only after its first
            **self.options,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        if self._replica_of:
            words += ["--replicaof", HOST, str(self._replica_of.port)]
        return [found.program(*PROGRAMS), *words]

    def answers(self) -> bool:
        """Return whether it is up and has read its disk."""
        try:
            return bool(resp.ask(self.port, "PING") == b"PONG")
        except resp.Refused as refusal:
            return str(refusal).startswith("NOAUTH")
        except OSError:
            return False
