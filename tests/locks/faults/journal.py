"""What a worker notes about the locks it takes: a line a step, so that no kill loses what was noted before."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ringfence.testing.linearizability import Operation

HOLDING = ("took", "writing", "wrote")
"""The last step of one that holds a lock."""

_TAIL = 4096

Note = dict[str, Any]


class Journal:
    """A file of one worker's steps, in the order in which they were noted."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, step: str, **values: Any) -> None:
        """Add a line; it is in the file when this returns."""
        os.write(self._file, json.dumps({"step": step, **values}).encode() + b"\n")


def read(path: Path) -> list[Note]:
    """Return the notes in a file; one that is being written is not among them."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def tail(path: Path) -> list[Note]:
    """Return the newest notes in a file: those of at least one acquisition, if there was one."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = file.read().split(b"\n")
    return [json.loads(line) for line in lines[:-1] if line.startswith(b"{") and line.endswith(b"}")]


def holds(notes: list[Note]) -> bool:
    """Say whether a worker held a lock when it noted its last step."""
    return bool(notes) and notes[-1]["step"] in HOLDING


def histories(journals: list[list[Note]]) -> dict[str, list[Operation]]:
    """Return what was done with each lock, by its name."""
    found: dict[str, list[Operation]] = {}
    for notes in journals:
        for hold in holdings(notes):
            found.setdefault(hold[0]["name"], []).extend(operations(hold))
    return found


def holdings(notes: list[Note]) -> Iterator[list[Note]]:
    """Yield the steps of one acquisition after the other."""
    starts = [at for at, note in enumerate(notes) if note["step"] == "took"]
    for start, end in zip(starts, [*starts[1:], len(notes)], strict=True):
        yield notes[start:end]


def operations(hold: list[Note]) -> Iterator[Operation]:
    """Yield the operations of one acquisition; one that was not answered may have happened at any time, or never."""
    took, *later = hold
    owner, fence = took["owner"], took["fence"]
    yield Operation("acquire", owner, fence, took["called"], took["answered"])
    for at, note in enumerate(later):
        answer = later[at + 1] if at + 1 < len(later) else None
        if note["step"] == "writing":
            known = answer if answer is not None and answer["step"] == "wrote" else {}
            yield Operation(
                "write", "", fence, note["at"], known.get("at", math.inf), known.get("admitted", True)
            )
        elif note["step"] == "giving":
            known = answer if answer is not None and answer["step"] == "gave" else {}
            held = known.get("held", True)
            yield Operation("release", owner, fence, note["at"], known.get("at", math.inf), held)
            if held:
                return
    yield Operation("expire", owner, fence, took["deadline"])
