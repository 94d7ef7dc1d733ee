"""Just enough of Redis' protocol to start servers and join them: no client needs to be installed.

Source: the serialization protocol of Redis, version 2 (https://redis.io/docs/latest/develop/reference/protocol-spec/).
"""

from __future__ import annotations

import socket
from typing import Any, BinaryIO

from ringfence.testing.servers.ports import HOST


class Refused(Exception):
    """The server answered with an error."""


def ask(port: int, *words: str | int | bytes, seconds: float = 1.0) -> Any:
    """Send one command on a connection of its own, and return the answer: `bytes`, `int`, a list or `None`.

    Raises:
        OSError: no connection, or no answer in time.
        Refused: the server answered with an error.
    """
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    command = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    with socket.create_connection((HOST, port), seconds) as connection, connection.makefile("rb") as answer:
        connection.sendall(command)
        return read(answer)


def read(answer: BinaryIO) -> Any:
    """Read one value."""
    line = answer.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("the server hung up")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise Refused(rest.decode())
    if kind == b"+":
        return rest
    if kind == b":" or rest == b"-1":
        return int(rest) if kind == b":" else None
    if kind == b"$":
        return answer.read(int(rest) + 2)[:-2]
    return [read(answer) for _ in range(int(rest))]
