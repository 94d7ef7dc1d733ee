"""Locks over TLS: `etcds://` checks whom it speaks to."""

import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from ringfence.errors import BackendUnavailable
from ringfence.locks.manager import LockManager
from ringfence.testing.servers.etcd import Etcd
from ringfence.testing.servers.fixtures import PrivateServers
from ringfence.testing.servers.ports import HOST
from ringfence.testing.servers.programs import Programs

PATIENCE = 120.0
LOCK = """
import sys
from ringfence import LockManager
with LockManager.from_url(sys.argv[1]) as manager, manager.lock("x") as lease:
    print(lease.fence == manager.leases()[0].fence)
"""


class TlsEtcd(Etcd):
    """One that makes a certificate for itself."""

    @property
    def url(self) -> str:
        return f"etcds://{HOST}:{self.port}"

    @property
    def certificate(self) -> Path:
        return self.data / "etcd" / "fixtures" / "client" / "cert.pem"

    def command(self, found: Programs) -> Sequence[str | Path]:
        words = [str(word) for word in super().command(found)]
        plain, tls = (f"{scheme}://{HOST}:{self.port}" for scheme in ("http", "https"))
        options = ("--listen-client-urls", "--advertise-client-urls")
        return [
            *(word.replace(plain, tls) if word.startswith(options) else word for word in words),
            "--auto-tls",
        ]

    def answers(self) -> bool:
        unchecked = ssl.create_default_context()
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        try:
            with urllib.request.urlopen(
                f"https://{HOST}:{self.port}/health", timeout=1, context=unchecked
            ) as answer:
                return b'"true"' in answer.read()
        except OSError:
            return False


def test_a_server_that_is_trusted_is_spoken_to(private_server: PrivateServers) -> None:
    server = private_server(TlsEtcd())
    environment = {"SSL_CERT_FILE": str(server.certificate), "PYTHONPATH": ":".join(sys.path)}
    words = [sys.executable, "-c", LOCK, server.url]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "True\n", done.stderr


def test_a_server_that_is_not_trusted_is_told_nothing(private_server: PrivateServers) -> None:
    server = private_server(TlsEtcd())
    with (
        LockManager.from_url(server.url) as manager,
        pytest.raises(BackendUnavailable, match="certificate"),
    ):
        manager.lock("x").acquire(timeout=PATIENCE)
