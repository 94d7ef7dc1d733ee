"""What locks refuse, before any I/O."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from ringfence.errors import InvalidType, InvalidValue
from ringfence.locks.manager import LockManager
from ringfence.locks.stores.memory import MemoryStore


@pytest.fixture
def manager() -> Iterator[LockManager]:
    with LockManager(MemoryStore()) as manager:
        yield manager


@pytest.mark.parametrize("name", [None, b"x", 1])
def test_a_name_is_a_string(manager: LockManager, name: Any) -> None:
    with pytest.raises(InvalidType):
        manager.lock(name)


@pytest.mark.parametrize("name", ["", "x" * 256, "a\0b", "\ud800"])
def test_a_name_is_a_short_text(manager: LockManager, name: str) -> None:
    with pytest.raises(InvalidValue):
        manager.lock(name)


@pytest.mark.parametrize("ttl", [None, "1", True])
def test_a_ttl_is_a_number(manager: LockManager, ttl: Any) -> None:
    with pytest.raises(InvalidType):
        manager.lock("x", ttl=ttl)


@pytest.mark.parametrize("ttl", [0, -1, math.inf, math.nan, 1e9, 0.001])
def test_a_ttl_is_finite_and_positive(manager: LockManager, ttl: float) -> None:
    with pytest.raises(InvalidValue):
        manager.lock("x", ttl=ttl)
    with manager.lock("x") as lease, pytest.raises(InvalidValue):
        lease.extend(ttl)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"timeout": -1}, InvalidValue),
        ({"timeout": math.nan}, InvalidValue),
        ({"timeout": "1"}, InvalidType),
        ({"blocking": False, "timeout": 1}, InvalidValue),
        ({"blocking": 0.5}, InvalidType),
    ],
)
def test_bad_waits_are_refused(manager: LockManager, arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        manager.lock("x").acquire(**arguments)


def test_a_callback_must_be_callable(manager: LockManager) -> None:
    with manager.lock("x") as lease, pytest.raises(InvalidType):
        lease.on_lost("ring")  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["", "ftp://x", "sqlite://x", "memory", "sqlite:///"])
def test_an_unknown_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue):
        LockManager.from_url(url)


def test_a_url_is_a_string() -> None:
    with pytest.raises(InvalidType):
        LockManager.from_url(1)  # type: ignore[arg-type]
