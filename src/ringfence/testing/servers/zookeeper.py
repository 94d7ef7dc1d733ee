"""A private ZooKeeper."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from ringfence.testing.servers.ports import HOST
from ringfence.testing.servers.programs import Needed, Programs
from ringfence.testing.servers.single import SingleServer

JARS = (
    "zookeeper",
    "zookeeper-jute",
    "slf4j-api",
    "slf4j-simple",
    "commons-cli",
    "metrics-core",
    "netty-buffer",
    "netty-common",
    "netty-handler",
    "netty-transport",
    "netty-transport-native-epoll",
    "snappy-java",
)
MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"

CONFIGURATION = """\
dataDir={data}
clientPort={port}
clientPortAddress={host}
tickTime={tick}
minSessionTimeout={shortest}
maxSessionTimeout={longest}
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
forceSync=no
"""


class ZooKeeper(SingleServer):
    """One ZooKeeper, with its data on the disk.

    Args:
        tick: milliseconds; sessions are looked after in this rhythm, and may be as short as two of them.
        longest: milliseconds; how long sessions may be.
    """

    needed = Needed("zookeeper", ("zookeeper", "default-jre-headless"), (("java",),), JARS)

    def __init__(self, *, tick: int = 200, longest: int = 1_000_000) -> None:
        super().__init__()
        self._tick = tick
        self._longest = longest

    @property
    def url(self) -> str:
        """`zookeeper://127.0.0.1:PORT`."""
        return f"zookeeper://{HOST}:{self.port}"

    def command(self, found: Programs) -> Sequence[str | Path]:
        """Return the command of a small Java machine that starts fast."""
        text = CONFIGURATION.format(
            data=self.data,
            port=self.port,
            host=HOST,
            tick=self._tick,
            shortest=2 * self._tick,
            longest=self._longest,
        )
        settings = self.folder / "zoo.cfg"
        settings.write_text(text, encoding="utf-8")
        libraries = ":".join(str(found.jar(name)) for name in JARS)
        small = ("-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        return [found.program("java"), *small, "-cp", libraries, MAIN, settings]

    def answers(self) -> bool:
        """Return whether it serves clients."""
        try:
            with socket.create_connection((HOST, self.port), 1) as connection:
                connection.sendall(b"srvr")
                with connection.makefile("rb") as answer:
                    return b"Mode:" in answer.read()
        except OSError:
            return False
