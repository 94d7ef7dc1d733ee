"""A private etcd of one member."""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence
from pathlib import Path

from ringfence.testing.servers.ports import HOST
from ringfence.testing.servers.programs import Needed, Programs
from ringfence.testing.servers.single import SingleServer


class Etcd(SingleServer):
    """One etcd, with its data on the disk; speaks version 3, by gRPC and by its JSON gateway."""

    needed = Needed("etcd", ("etcd-server",), (("etcd",),))
    port_count = 2

    @property
    def url(self) -> str:
        """`etcd://127.0.0.1:PORT`."""
        return f"etcd://{HOST}:{self.port}"

    def command(self, found: Programs) -> Sequence[str | Path]:
        """Return the command; leases end at the earliest after the election timeout, so that is short."""
        clients, peers = (f"http://{HOST}:{port}" for port in self.ports)
        options = {
            "name": "only",
            "data-dir": self.data / "etcd",
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"only={peers}",
            "heartbeat-interval": 50,
            "election-timeout": 500,
        }
        return [found.program("etcd"), *(f"--{name}={value}" for name, value in options.items())]

    def answers(self) -> bool:
        """Return whether it has a leader and takes writes."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/health", timeout=1) as answer:
                return b'"true"' in answer.read()
        except OSError:
            return False
