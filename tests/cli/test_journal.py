"""The journals: what was acknowledged, what is unknown, and that a life cut short leaves both right."""

from contextlib import closing
from pathlib import Path

from ringfence.cli.demo import journal
from ringfence.cli.demo.journal import Journal


def test_adds_up_what_all_workers_wrote(tmp_path: Path) -> None:
    lives = {
        "one": ["start", "try 3", "ok 3", "try 3", "no 3", "try 4"],
        "one ": ["start", "try 3", "ok 3", "try 4", "ok 4"],
        "two": ["start", "batch", "try 3", "ok 3", "try 3"],
    }
    for worker, lines in lives.items():
        with closing(Journal(tmp_path / f"{worker.strip()}.journal")) as written:
            for word, *numbers in map(str.split, lines):
                written.write(word, *map(int, numbers))
    account = journal.read(tmp_path)
    assert +account.acknowledged == {3: 3, 4: 1}
    assert +account.unknown == {3: 1, 4: 1}
    assert account.words["start"] == 3
    assert account.words["batch"] == 1
