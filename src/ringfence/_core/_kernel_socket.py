"""Bytes over a socket, interpreted; `_kernel_socket.pxd` holds the same names, compiled."""

from __future__ import annotations

import re
from typing import Any

_CHUNK = 16384
_INTEGER = re.compile(rb":(-?[0-9]{1,17})\r\n")


def send_all(sock: Any, file: int, data: bytes) -> None:  # noqa: ARG001 -- compiled, it takes the place of the socket
    """Send all of `data`.

    Raises:
        OSError: the socket failed, or took too long.
    """
    sock.sendall(data)


def receive(sock: Any, file: int) -> bytes:  # noqa: ARG001
    """Return the next bytes; none at the end.

    Raises:
        OSError: the socket failed, or took too long.
    """
    data: bytes = sock.recv(_CHUNK)
    return data


def integer(data: bytes) -> int | None:
    """Return the number, if this is one reply of Redis and no more, and a number."""
    found = _INTEGER.fullmatch(data)
    return None if found is None else int(found[1])
