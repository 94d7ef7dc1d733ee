"""What a worker process did, written down as it goes: its own word against what the shards hold in the end.

One line a step. A worker that is killed leaves a `try` without an answer: that transaction may or may not
have happened, and the next life of the worker goes on below it.

    start                 a life begins
    try 17                an update of file 17 is about to run
    ok 17                 its commit was acknowledged
    no 17                 it was aborted: nothing happened
    batch                 the rebalancer has moved a batch of keys
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


class Journal:
    """Appends lines to a worker's journal; a line that is written survives SIGKILL."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, word: str, *numbers: int) -> None:
        """Append one line, in one system call, so that a kill leaves it whole or leaves none of it."""
        os.write(self._file, (" ".join([word, *map(str, numbers)]) + "\n").encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


@dataclass(slots=True)
class Account:
    """All journals, added up.

    Attributes:
        acknowledged: file number -> updates whose commit was acknowledged.
        unknown: file number -> updates that ended in a kill or without an answer.
        words: word -> lines that begin with it.
    """

    acknowledged: Counter[int] = field(default_factory=Counter)
    unknown: Counter[int] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)

    def add(self, lines: list[str]) -> None:
        """Add one journal."""
        for word, *numbers in map(str.split, lines):
            self.words[word] += 1
            self._add(word, [int(number) for number in numbers])

    def _add(self, word: str, numbers: list[int]) -> None:
        match word, numbers:
            case "try", [file]:
                self.unknown[file] += 1
            case "ok", [file]:
                self.unknown[file] -= 1
                self.acknowledged[file] += 1
            case "no", [file]:
                self.unknown[file] -= 1


def read(folder: Path) -> Account:
    """Add up all journals in a folder."""
    account = Account()
    for path in sorted(folder.glob("*.journal")):
        account.add(path.read_text(encoding="ascii").splitlines())
    return account
