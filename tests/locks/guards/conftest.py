"""Servers of one module: tests kill them, and start them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ringfence.testing.servers import KINDS, Redis, Server

Running = Callable[[str], Server]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Start servers of a kind when they are asked for first."""
    started: dict[str, Server] = {}
    with ExitStack() as servers:

        def get(kind: str) -> Server:
            if kind not in started:
                server = Redis(durable=True) if kind == "redis" else KINDS[kind]()
                started[kind] = servers.enter_context(server)
            return started[kind]

        yield get
