"""The frames of MariaDB's protocol: what a request looks like, and where the bytes of its reply end.

(MariaDB Server Documentation, "Client/Server Protocol"; without `CLIENT_DEPRECATE_EOF`, which PyMySQL does not speak.)
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import dataclass

_SET_OPTION, _QUERY = 0x1B, 0x03
_SEVERAL_ON, _SEVERAL_OFF = struct.pack("<H", 0), struct.pack("<H", 1)
_OK, _EOF, _ERROR, _FILE = 0x00, 0xFE, 0xFF, 0xFB
_MORE = 8  # SERVER_MORE_RESULTS_EXISTS
_MOST = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class Request:
    """One statement; or a script: several with `;` between them, of which none is run after one that failed.

    Attributes:
        sql: the text.
        several: it is a script. Only then does the server take more than one statement.
    """

    sql: bytes
    several: bool = False

    @property
    def replies(self) -> int:
        """How many replies come: that to the text, between those to what switches scripts on and off."""
        return 3 if self.several else 1

    @property
    def sequence(self) -> int:
        """The number of the first packet of the reply to the text."""
        return (len(self.sql) + 1) // _MOST + 1

    def encoded(self) -> bytes:
        """The bytes to send."""
        query = _packets(_QUERY, self.sql)
        if not self.several:
            return query
        return _packets(_SET_OPTION, _SEVERAL_ON) + query + _packets(_SET_OPTION, _SEVERAL_OFF)


def statement(sql: str) -> Request:
    """A request of one statement."""
    return Request(sql.encode())


def script(*statements: str) -> Request:
    """A request of several statements, up to the first that fails."""
    return Request("; ".join(statements).encode(), several=True)


def _packets(command: int, body: bytes) -> bytes:
    payload = bytes([command]) + body
    pieces = [payload[start : start + _MOST] for start in range(0, len(payload) + 1, _MOST)]
    return b"".join(
        struct.pack("<I", len(piece) | (number % 256) << 24) + piece for number, piece in enumerate(pieces)
    )


class Replies:
    """Finds the end of `count` replies in bytes that come piece by piece.

    Attributes:
        data: what has come.
        complete: all replies are there.
    """

    def __init__(self, count: int) -> None:
        self.data = bytearray()
        self.complete = False
        self._scan = _replies(count)
        self._next = 0
        self._continued = False
        next(self._scan)

    def feed(self, piece: bytes) -> None:
        """Add what has come."""
        self.data += piece
        while not self.complete and len(self.data) >= self._next + 4:
            size = int.from_bytes(self.data[self._next : self._next + 3], "little")
            if len(self.data) < self._next + 4 + size:
                return
            start, self._next = self._next + 4, self._next + 4 + size
            if not self._continued:
                self._look(bytes(self.data[start : start + 32]), size)
            self._continued = size == _MOST

    def _look(self, head: bytes, size: int) -> None:
        try:
            self._scan.send((head, size))
        except StopIteration:
            self.complete = True


_Packets = Generator[None, tuple[bytes, int], None]
"""Is sent the beginning and the size of each packet, and ends with the last one it needs."""


def _replies(count: int) -> _Packets:
    for _ in range(count):
        yield from _reply()


def _reply() -> _Packets:
    more = True
    while more:
        head, _ = yield
        if head[0] == _OK:
            more = bool(_status(head) & _MORE)
        elif head[0] in (_ERROR, _EOF, _FILE):
            return
        else:
            yield from _columns()
            more = yield from _rows()


def _columns() -> _Packets:
    while True:
        head, size = yield
        if _is_eof(head, size):
            return


def _rows() -> Generator[None, tuple[bytes, int], bool]:
    """Return whether another result follows."""
    while True:
        head, size = yield
        if _is_eof(head, size):
            return bool(int.from_bytes(head[3:5], "little") & _MORE)
        if size and head[0] == _ERROR:
            return False


def _is_eof(head: bytes, size: int) -> bool:
    return 0 < size < 9 and head[0] == _EOF


def _status(ok: bytes) -> int:
    """The status in an OK packet, behind two integers of variable length."""
    at = 1
    for _ in range(2):
        at += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(ok[at], 1)
    return int.from_bytes(ok[at : at + 2], "little")
