"""Bytes over a socket, interpreted; `_kernel_socket.pxd` holds the same names, compiled."""

from __future__ import annotations

from typing import Any

_CHUNK = 16384


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
    if data[0] == 58 and 0 < data.find(b"\r\n") == len(data) - 2:
        return int(data[1:-2])
    return None
