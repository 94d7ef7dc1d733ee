"""Free ports on the loopback interface."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

HOST = "127.0.0.1"

# Below the range from which systems give ports to outgoing connections: there a client that connects again and again
# to a killed server could take the server's port, or even be connected to itself.
LOWEST, HIGHEST = 12000, 32000


def free_ports(count: int) -> list[int]:
    """Return so many different ports on which nobody listens now; another process may still be faster."""
    chance = random.SystemRandom()  # several test processes choose at once
    found: list[int] = []
    while len(found) < count:
        port = chance.randint(LOWEST, HIGHEST)
        if port not in found and is_free(port):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    """Return whether a server can listen on a port."""
    with suppress(OSError), socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return True
    return False
