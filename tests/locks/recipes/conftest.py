"""Managers over every kind of store, for threads and for asyncio."""

from collections.abc import AsyncIterator, Iterator

import pytest

from ringfence import LockManager, aio


@pytest.fixture
def manager(url: str) -> Iterator[LockManager]:
    with LockManager.from_url(url) as opened:
        yield opened


@pytest.fixture
def other(url: str) -> Iterator[LockManager]:
    """Another manager on the same store: for what another process does."""
    with LockManager.from_url(url) as opened:
        yield opened


@pytest.fixture
async def tasks(url: str) -> AsyncIterator[aio.LockManager]:
    async with aio.LockManager.from_url(url) as opened:
        yield opened
