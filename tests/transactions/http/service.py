"""The service of the example in a process of its own, which a test can kill, stop and start again."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from pathlib import Path

from ringfence.testing.servers.ports import free_ports

EXAMPLE = Path(__file__).parents[3] / "examples" / "accounts.py"
PATIENCE = 60.0


class Service:
    """Keeps accounts in a folder.

    Args:
        folder: is there already.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "accounts.db"
        [self.port] = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._process = subprocess.Popen([sys.executable, str(EXAMPLE), str(self.file), str(self.port)])
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, "the service ended at its start"
            assert time.monotonic() < deadline, "the service does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def pause(self) -> None:
        """Stop it with SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def empty(self) -> None:
        """Forget everything; it must not run."""
        for path in self.file.parent.glob(f"{self.file.name}*"):
            path.unlink()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("POST", "/prepared", b'{"prefix": ""}')
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
