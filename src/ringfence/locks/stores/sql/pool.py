"""A few connections that the threads of a process share, each for one statement."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ringfence._forks import tell_of_forks
from ringfence.errors import BackendUnavailable, StoreError, StoreTimeout
from ringfence.locks.stores.sql.connection import Connection


class Pool:
    """Connections, opened when needed and kept; a forked child leaves those of its parent alone.

    Args:
        connect: opens one.
        most: how many there are at most; who comes then waits until one is given back.
        timeout: seconds to wait for that.
    """

    def __init__(self, connect: Callable[[], Connection], most: int, timeout: float) -> None:
        self._connect = connect
        self._most = most
        self._timeout = timeout
        self._closed = False
        self._reached = False
        self._start()
        tell_of_forks(self)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection.

        Raises:
            BackendUnavailable: the server cannot be reached, and never was.
            StoreTimeout: it cannot be reached now, or all connections are in use for too long; nothing was sent.
            StoreError: the store was closed.
        """
        free = self._free
        if not free.acquire(timeout=self._timeout):
            raise StoreTimeout(f"all {self._most} connections of the lock store are in use; try again")
        try:
            connection = self._taken()
            try:
                yield connection
            finally:
                self._give(connection)
        finally:
            free.release()

    def close(self) -> None:
        """Close the idle connections now, the others when they are given back. Closing twice is harmless."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def forked(self) -> None:
        """Start afresh in a forked child: the connections are the parent's."""
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._idle: list[Connection] = []
        self._free = threading.BoundedSemaphore(self._most)

    def _taken(self) -> Connection:
        if self._closed:
            raise StoreError("the lock store was closed; open a new one")
        while self._idle:
            connection = self._idle.pop()
            if connection.is_sound():
                return connection
            connection.close()
        try:
            connection = self._connect()
        except BackendUnavailable as error:
            if self._reached:  # it may come back
                raise StoreTimeout(f"{error}; nothing was sent") from error
            raise
        self._reached = True
        return connection

    def _give(self, connection: Connection) -> None:
        if self._closed or connection.closed or self._process != os.getpid():
            connection.close()
        else:
            self._idle.append(connection)
