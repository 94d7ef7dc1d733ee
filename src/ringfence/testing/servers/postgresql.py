"""A private PostgreSQL."""

from __future__ import annotations

import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from ringfence.testing.servers import account, template
from ringfence.testing.servers.ports import HOST
from ringfence.testing.servers.programs import Needed, Programs
from ringfence.testing.servers.single import SingleServer

VERSION_3 = 196608
HELLO = struct.pack("!i", VERSION_3) + b"user\0postgres\0database\0postgres\0\0"


class PostgreSQL(SingleServer):
    """One PostgreSQL with 64 prepared transactions; the user `postgres` needs no password.

    It does not sync its files: that loses nothing when processes are killed, only when the whole machine is.

    Args:
        options: more of its configuration, for example `{"fsync": "on"}`.
    """

    needed = Needed("postgresql", ("postgresql",), (("postgres",), ("initdb",)))
    polite = signal.SIGINT  # SIGTERM would wait for the clients to leave

    def __init__(self, *, options: Mapping[str, str | int] | None = None) -> None:
        super().__init__()
        self._options = {**(options or {})}

    @property
    def url(self) -> str:
        """`postgresql://postgres@127.0.0.1:PORT/postgres`."""
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    def prepare(self, found: Programs) -> None:
        """Copy a data folder that `initdb` made."""
        if (self.data / "PG_VERSION").exists():
            return

        def make(folder: Path) -> None:
            account.hand_over(folder)
            options = ("-A", "trust", "-U", "postgres", "--no-sync", "--locale=C", "--encoding=UTF8")
            command: list[str | Path] = [
                *account.command_prefix(),
                found.program("initdb"),
                "-D",
                folder,
                *options,
            ]
            template.run(command, found.environment())

        template.copy("postgresql", self.data, make)
        account.hand_over(self.data)

    def command(self, found: Programs) -> Sequence[str | Path]:
        """Return the command; as root it runs as an ordinary user."""
        options = {
            "port": self.port,
            "listen_addresses": HOST,
            "unix_socket_directories": self.data,
            "max_prepared_transactions": 64,
            "max_connections": 200,
            "fsync": "off",
            **self._options,
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [*account.command_prefix(), found.program("postgres"), "-D", self.data, *words]

    def answers(self) -> bool:
        """Return whether it lets a user in."""
        try:
            with socket.create_connection((HOST, self.port), 1) as connection:
                connection.sendall(struct.pack("!i", 4 + len(HELLO)) + HELLO)
                return connection.recv(1) == b"R"
        except OSError:
            return False
