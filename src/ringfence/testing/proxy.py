"""A TCP proxy that does to connections what networks do: holds, cuts, delays and loses, when a test says so.

A test gives clients the proxy's port instead of the server's, and turns faults on and off while they talk. One thread
carries all connections; each method returns when what it does is in force.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Self, TypeVar

from ringfence.testing.servers.ports import HOST, free_ports

PATIENCE = 30.0
"""Seconds within which the thread must have done what it was told."""

PIECE = 65536
NO_LINGER = struct.pack("ii", 1, 0)  # with it a socket is closed by RST instead of FIN

Result = TypeVar("Result")


class Direction(Enum):
    """Which way bytes go."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


TO_SERVER, TO_CLIENT = Direction
BOTH = (TO_SERVER, TO_CLIENT)


@dataclass(eq=False, slots=True)
class Link:
    """One connection of a client and its continuation to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    asked: bool = False  # the client has spoken since the server last did
    forsaken: bool = False  # one end is gone, and the other has not heard of it

    def each(self, function: Callable[[asyncio.StreamWriter], None]) -> None:
        """Do the same to both ends."""
        function(self.client)
        function(self.server)

    def receiver(self, way: Direction) -> asyncio.StreamWriter:
        """Return the end where bytes of a direction arrive."""
        return self.server if way is TO_SERVER else self.client

    def sender(self, way: Direction) -> asyncio.StreamWriter:
        """Return the end where bytes of a direction come from."""
        return self.client if way is TO_SERVER else self.server


class Proxy:
    """A proxy in front of one server; a context manager that closes it.

    Args:
        port: the server's.
        host: the server's.

    Attributes:
        port: where clients connect.
        replies: how often a server has begun to answer, all connections together: what it sends after the client
            sent something, until the client sends again, is one reply.
    """

    def __init__(self, port: int, host: str = HOST) -> None:
        self._target = (host, port)
        self.port = free_ports(1)[0]
        self.replies = 0
        self._latency = 0.0
        self._links: set[Link] = set()
        self._flowing = {way: asyncio.Event() for way in BOTH}
        self._rest: dict[Direction, int | None] = dict.fromkeys(BOTH)
        self._lost_reply: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ringfence-proxy", daemon=True)
        self._thread.start()
        self.flow()
        self.accept()

    def hold(self, *directions: Direction) -> None:
        """Let nothing through any more, not even the end of a connection; what comes meanwhile is kept.

        Args:
            directions: `TO_SERVER` or `TO_CLIENT`; both when none is given.
        """
        for way in directions or BOTH:
            self._call(self._flowing[way].clear)

    def flow(self) -> None:
        """Let everything through again, first what was held."""
        for way in BOTH:
            self._call(self._flowing[way].set)

    def latency(self, seconds: float) -> None:
        """Let each piece wait so long on its way, in both directions; 0 ends it."""
        self._latency = seconds

    def cut(self) -> None:
        """End every connection in order (FIN): both ends read the end of the stream."""
        self._each(lambda link: link.each(asyncio.StreamWriter.close))

    def reset(self) -> None:
        """Break every connection (RST): both ends get an error."""
        self._each(lambda link: link.each(reset))

    def cut_after(self, count: int, direction: Direction) -> None:
        """Let so many bytes more through in a direction, all connections together, then end the one that sent them.

        The sender gets an error, the receiver what came through and then the end of the stream. It happens once; with
        each number up to the length of a request or a reply, that is cut at every point.
        """
        self._call(lambda: self._rest.update({direction: count}))

    def lose_reply(self, number: int = 1) -> None:
        """Reset a connection in place of the server's reply: the server has done what was asked, and nobody knows.

        Args:
            number: which reply from now on, all connections together; 1 is the next.
        """
        self._call(lambda: setattr(self, "_lost_reply", self.replies + number))

    def half_open(self, direction: Direction = TO_SERVER) -> None:
        """Let the receiving end of every connection go away without the sending end hearing of it.

        That one may send on, and gets neither an answer nor an error; new connections work.

        Args:
            direction: `TO_SERVER` when it is the server who is gone.
        """
        self._each(lambda link: forsake(link, direction))

    def refuse(self) -> None:
        """Refuse new connections; the others stay."""
        self._call(self._listener.close)

    def accept(self) -> None:
        """Accept new connections again after `refuse`."""
        self._listener = self._do(asyncio.start_server(self._serve, HOST, self.port))

    def close(self) -> None:
        """Reset every connection and end the thread."""
        if self._loop.is_closed():
            return
        self.reset()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Have something done by the thread, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def _call(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        self._do(call())

    def _each(self, function: Callable[[Link], object]) -> None:
        self._call(lambda: [function(link) for link in self._links])

    async def _end(self) -> None:
        """End all tasks, and then the listener: asyncio forgets a client that it is accepting at that moment."""
        this = asyncio.current_task()
        while tasks := asyncio.all_tasks() - {this}:  # a task that accepts starts one that serves
            await asyncio.sleep(0)  # cancelled before its first step, a task would leave its client unheard
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Carry one connection until both ends are done."""
        try:
            answers, server = await asyncio.open_connection(*self._target)
        except (OSError, asyncio.CancelledError):
            reset(client)
            return
        link = Link(client, server)
        self._links.add(link)
        try:
            await asyncio.gather(self._carry(link, TO_SERVER, reader), self._carry(link, TO_CLIENT, answers))
        finally:
            self._links.discard(link)
            link.each(asyncio.StreamWriter.close)

    async def _carry(self, link: Link, way: Direction, reader: asyncio.StreamReader) -> None:
        """Carry one direction of a connection to its end."""
        receiver = link.receiver(way)
        try:
            while piece := await reader.read(PIECE):
                await asyncio.sleep(self._latency)
                await self._flowing[way].wait()
                self._pass(link, way, piece)
                await drained(link, way)
            await self._flowing[way].wait()
            if not (link.forsaken or receiver.is_closing()):
                receiver.write_eof()
        except OSError:  # one end was reset: so is the other, unless it is not to know
            await self._flowing[way].wait()
            if not link.forsaken:
                reset(receiver)

    def _pass(self, link: Link, way: Direction, piece: bytes) -> None:
        """Pass a piece on, or as much of it as the faults let through."""
        if link.forsaken or link.receiver(way).is_closing() or self._is_lost(link, way):
            return
        rest = self._rest[way]
        link.receiver(way).write(piece[:rest])
        if rest is not None:
            self._rest[way] = rest - len(piece)
            if len(piece) >= rest:
                self._rest[way] = None
                link.receiver(way).close()
                reset(link.sender(way))

    def _is_lost(self, link: Link, way: Direction) -> bool:
        """Count the replies; in place of the one that is to be lost, reset the connection."""
        answered = link.asked and way is TO_CLIENT
        link.asked = way is TO_SERVER
        self.replies += answered
        if not (answered and self.replies == self._lost_reply):
            return False
        link.each(reset)
        return True


async def drained(link: Link, way: Direction) -> None:
    """Wait until the receiver has taken what it was sent; one that is gone takes everything."""
    try:
        await link.receiver(way).drain()
    except OSError:
        if not link.forsaken:
            raise


def reset(end: asyncio.StreamWriter) -> None:
    """Close a connection by RST."""
    if not end.transport.is_closing():
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    end.transport.abort()


def forsake(link: Link, way: Direction) -> None:
    """Reset the receiving end of a connection, and keep it from the sending one."""
    link.forsaken = True
    reset(link.receiver(way))
