"""Columns are hashed without the GIL: another thread runs meanwhile, and while a list is hashed it does not."""

import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pa: Any = pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no GIL here"
)

KEYS = [f"user:{i:07}" for i in range(200_000)]


@pytest.fixture(autouse=True)
def nobody_is_asked_to_let_go() -> Iterator[None]:
    """A switch interval longer than any try: a thread gets the GIL only when another lets go of it by itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5)
    yield
    sys.setswitchinterval(before)


def runs_meanwhile(core: SimpleNamespace, keys: Any, seconds: float) -> bool:
    """Whether another thread gets a turn within so many seconds of hashing."""
    turns: list[int] = []
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            turns.append(1)
            time.sleep(0)

    thread = threading.Thread(target=run)
    thread.start()
    end = time.monotonic() + seconds
    met = False
    while not met and time.monotonic() < end:
        before = len(turns)
        core.hashing.key_hash_many(keys)
        met = len(turns) > before
    over.set()
    thread.join()
    return met


@pytest.mark.parametrize(
    "keys",
    [
        pa.array(KEYS),
        pa.array(KEYS, pa.large_utf8()),
        pa.array(KEYS, pa.string_view()),
        pa.array([key.encode() for key in KEYS], pa.binary(12)),
        pa.array(range(len(KEYS))),
        pa.chunked_array([KEYS, KEYS]).chunk(1),
        np.array(KEYS),
        np.array(KEYS, "S"),
        np.arange(len(KEYS)),
    ],
    ids=lambda keys: f"{type(keys).__module__}-{getattr(keys, 'type', None) or keys.dtype}",
)
def test_another_thread_runs_meanwhile(twins: dict[str, SimpleNamespace], keys: Any) -> None:
    if "c" not in twins:
        pytest.skip("nothing is compiled here")
    # One thread may miss every chance: glibc before 2.41 loses a wake-up now and then (its bug 25847) for good.
    assert any(runs_meanwhile(twins["c"], keys, 2) for _ in range(10))


def test_no_other_runs_while_a_list_is_hashed(twins: dict[str, SimpleNamespace]) -> None:
    if "c" not in twins:
        pytest.skip("nothing is compiled here")
    assert not runs_meanwhile(twins["c"], KEYS[:1000], 0.2)
