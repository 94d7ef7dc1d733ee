"""The ten schedules that tell most about the protocol, as texts to read: what is asked of whom, and what comes of it.

`RINGFENCE_GOLDEN=write python -m pytest tests/transactions/golden` writes them anew; read what has changed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .script import Incident, Play, scripted

FOLDER = Path(__file__).parent
LATER = (("one", 1.0),)

SCHEDULES: dict[str, tuple[str, Play]] = {
    "01-all-goes-well": (
        "Two branches write and one only reads. The reader is not asked again.",
        scripted(work={"east": -10, "north": 0, "west": 10}),
    ),
    "02-marker": (
        "The decision is a row in the database of east, put by the commit of the work there.",
        scripted(marker=True),
    ),
    "03-crash-before-the-decision": (
        "All are prepared, and nothing is decided. Recovery wins `aborted` before it rolls anything back.",
        scripted(Incident("main", "put_if_absent", 1, "crash before"), recoveries=LATER),
    ),
    "04-crash-between-the-commits": (
        "It is decided, and one branch of two has been told. Recovery finds `committed`, and tells the other.",
        scripted(Incident("main", "commit", 2, "crash before"), recoveries=LATER),
    ),
    "05-zombie": (
        "The coordinator stands still before it decides, and another takes over. Then its request arrives.",
        scripted(Incident("main", "put_if_absent", 1, "pause before", 2.0), recoveries=LATER),
    ),
    "06-decision-not-answered": (
        "It was decided, and nobody heard of it. The same request, asked again, says what stands.",
        scripted(Incident("main", "put_if_absent", 1, "lose_reply")),
    ),
    "07-in-doubt": (
        "No answer ever comes. Neither committed nor aborted is said; recovery finds out.",
        scripted(*(Incident("main", "put_if_absent", nth, "lose_reply") for nth in range(1, 5))),
    ),
    "08-prepare-after-the-scan": (
        "A prepare of the coordinator that died arrives when recovery has looked; but all are told to roll back.",
        scripted(
            Incident("main", "prepare", 1, "late", 0.004),
            Incident("main", "prepare", 2, "crash after"),
            recoveries=(("one", 0.0045), ("two", 1.0)),
        ),
    ),
    "09-recovery-of-the-recovery": (
        "The coordinator dies undecided; one recoverer dies when it has won, while another is at work.",
        scripted(
            Incident("main", "put_if_absent", 1, "crash before"),
            Incident("one", "rollback", 1, "crash before"),
            recoveries=(("one", 1.0), ("two", 1.0025)),
        ),
    ),
    "10-marker-not-answered": (
        "The marker has decided, and nobody heard of it. Whoever can put a row first has decided: `committed` stands.",
        scripted(Incident("main", "decide", 1, "lose_reply"), marker=True),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_as_it_was(name: str) -> None:
    about, play = SCHEDULES[name]
    text = f"{about}\n\n{play()}"
    path = FOLDER / f"{name}.txt"
    if os.environ.get("RINGFENCE_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_no_text_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(SCHEDULES)
