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


@pytest.fixture
def turns() -> Iterator[list[int]]:
    """A list that another thread lengthens whenever this one lets go of the GIL, which it is not asked to."""
    found: list[int] = []
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            found.append(1)
            time.sleep(0)

    before = sys.getswitchinterval()
    sys.setswitchinterval(100)
    thread = threading.Thread(target=run)
    thread.start()
    yield found
    over.set()
    thread.join()
    sys.setswitchinterval(before)


def runs_meanwhile(core: SimpleNamespace, keys: Any, turns: list[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = len(turns)
        core.hashing.key_hash_many(keys)
        if len(turns) > before:
            return True
    return False


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
def test_another_thread_runs_meanwhile(
    twins: dict[str, SimpleNamespace], keys: Any, turns: list[int]
) -> None:
    if "c" not in twins:
        pytest.skip("nothing is compiled here")
    assert runs_meanwhile(twins["c"], keys, turns, 30)  # at once, but on a machine with no core to spare


def test_no_other_runs_while_a_list_is_hashed(twins: dict[str, SimpleNamespace], turns: list[int]) -> None:
    if "c" not in twins:
        pytest.skip("nothing is compiled here")
    assert not runs_meanwhile(twins["c"], KEYS[:1000], turns, 0.2)
