"""A private MariaDB."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from ringfence.errors import BackendUnavailable
from ringfence.testing.servers import template
from ringfence.testing.servers.ports import HOST
from ringfence.testing.servers.programs import Needed, Programs
from ringfence.testing.servers.single import SingleServer

# What the script mariadb-install-db feeds to the server; the script itself wants programs of other packages.
SYSTEM_TABLES = ("system_tables", "performance_tables", "system_tables_data")
FIRST = """
CREATE DATABASE mysql;
USE mysql;
SET @auth_root_socket = NULL;
"""
LAST = """
FLUSH PRIVILEGES;
CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY '';
GRANT ALL PRIVILEGES ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE test CHARACTER SET utf8mb4;
"""

GREETING_VERSION = 10


class MariaDB(SingleServer):
    """One MariaDB with an empty database `test`; the user `root` needs no password.

    It does not sync its files: that loses nothing when processes are killed, only when the whole machine is.

    Args:
        options: more of its configuration, for example `{"innodb-flush-method": "fsync"}`.
    """

    needed = Needed("mariadb", ("mariadb-server-core",), (("mariadbd",),))

    def __init__(self, *, options: Mapping[str, str | int] | None = None) -> None:
        super().__init__()
        self._options = {**(options or {})}

    @property
    def url(self) -> str:
        """`mariadb://root@127.0.0.1:PORT/test`."""
        return f"mariadb://root@{HOST}:{self.port}/test"

    def prepare(self, found: Programs) -> None:
        """Copy a data folder that was made once."""
        if (self.data / "mysql").exists():
            return

        def make(folder: Path) -> None:
            command = [*self._program(found), f"--datadir={folder}", "--bootstrap"]
            template.run(command, found.environment(), system_tables(found))

        template.copy("mariadb", self.data, make)

    def command(self, found: Programs) -> Sequence[str | Path]:
        """Return the command."""
        options = {
            "datadir": self.data,
            "port": self.port,
            "bind-address": HOST,
            "socket": self.folder / "mariadb.sock",
            "pid-file": self.folder / "pid",
            "tmpdir": self.folder,
            "max-connections": 200,
            "max-connect-errors": 1000000,  # each look whether it answers counts as one
            "skip-name-resolve": "ON",
            **self._options,
        }
        return [*self._program(found), *(f"--{name}={value}" for name, value in options.items())]

    def _program(self, found: Programs) -> Sequence[str | Path]:
        """Return the program with what is the same for making the data folder and for serving it."""
        messages = tables(found, "system_tables").parent
        user = ["--user=root"] if os.geteuid() == 0 else []
        small = ("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--performance-schema=OFF")
        files = ("--innodb-flush-method=nosync", "--innodb-use-native-aio=0")
        share = (f"--basedir={base(found)}", f"--lc-messages-dir={messages}")
        return [found.program("mariadbd"), "--no-defaults", *user, *share, *small, *files]

    def answers(self) -> bool:
        """Return whether it greets a client."""
        try:
            with socket.create_connection((HOST, self.port), 1) as connection:
                return connection.recv(5)[4:] == bytes([GREETING_VERSION])
        except OSError:
            return False


def base(found: Programs) -> Path:
    """Return the folder under which the server's own files are."""
    return found.program("mariadbd").resolve().parent.parent


def tables(found: Programs, name: str) -> Path:
    """Return one of the SQL files that come with the server; older ones have the prefix `mysql`."""
    for path in base(found).glob(f"share/m*/m*_{name}.sql"):
        return path
    raise BackendUnavailable(f"mariadb came without its {name}.sql")


def system_tables(found: Programs) -> str:
    """Return the SQL that makes the system tables and the user."""
    return "\n".join(
        [FIRST, *(tables(found, name).read_text(encoding="utf-8") for name in SYSTEM_TABLES), LAST]
    )
