"""`ringfence txn`: what is in doubt, recovery, and branches ended by hand."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from ringfence.cli import main
from ringfence.transactions import Outcome, decisions, participants

COMMITTED, ABORTED = Outcome.COMMITTED, Outcome.ABORTED
NAMES = ("east", "west")


class Place:
    """A decision store and two SQLite files, and what a coordinator that died has left in them."""

    def __init__(self, folder: Path, decisions_url: str) -> None:
        self.folder = folder
        self.decisions = decisions_url
        self.urls = {name: f"sqlite:///{folder}/{name}.db" for name in NAMES}
        for name in NAMES:
            with closing(sqlite3.connect(folder / f"{name}.db")) as connection:
                connection.execute("CREATE TABLE done (gid)")
        self.start()

    def start(self, name: str = "main") -> int:
        with closing(decisions.from_url(self.decisions, 5.0)) as store:
            return store.begin_epoch(name)

    def prepare(self, gid: str, outcome: Outcome | None = None, names: Sequence[str] = NAMES) -> None:
        """Leave a transaction prepared, and decided if there is an outcome."""
        for name in names:
            with closing(participants.from_url(self.urls[name], 5.0)) as participant:
                branch = participant.begin(gid)
                branch.execute("INSERT INTO done VALUES (?)", (gid,))  # type: ignore[attr-defined]
                participant.prepare(gid)
        if outcome is not None:
            with closing(decisions.from_url(self.decisions, 5.0)) as store:
                assert store.put_if_absent(gid, outcome) is outcome

    def options(self) -> list[str]:
        listed = [f"--participant={name}={url}" for name, url in self.urls.items()]
        return ["--decisions", self.decisions, *listed]

    def run(self, *words: str) -> int:
        return main(["txn", *words, *self.options()])

    def done(self, name: str) -> list[str]:
        with closing(sqlite3.connect(self.folder / f"{name}.db")) as connection:
            return [gid for (gid,) in connection.execute("SELECT gid FROM done ORDER BY gid")]


@pytest.fixture(params=["sqlite", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    name = {"sqlite": f"sqlite:///{tmp_path}/decisions.db", "file": f"file://{tmp_path}/decisions"}
    return Place(tmp_path, name[request.param])


Output = pytest.CaptureFixture[str]


def test_list_says_what_is_in_doubt(place: Place, capsys: Output) -> None:
    assert place.run("list") == 0
    assert capsys.readouterr().out == "nothing is in doubt\n"
    place.prepare("main.1.1", COMMITTED, ["east"])
    place.start()
    place.prepare("main.2.1", names=["west"])
    assert place.run("list") == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert re.split("  +", head) == ["transaction", "decision", "prepared on", "next"]
    assert re.split("  +", first) == ["main.1.1", "committed", "east", "recovery commits it"]
    assert re.split("  +", second)[:3] == ["main.2.1", "none", "west"]
    assert place.run("list", "--json", "--prefix", "main.1.") == 0
    assert json.loads(capsys.readouterr().out) == {
        "in_doubt": [
            {"gid": "main.1.1", "decision": "committed", "prepared": ["east"], "next": "recovery commits it"}
        ],
        "heuristics": [],
        "failed": {},
    }


def test_list_says_what_was_decided(place: Place, capsys: Output) -> None:
    with closing(decisions.from_url(place.decisions, 5.0)) as store:
        store.put_many([("main.1.1", COMMITTED), ("main.1.2", ABORTED)])
    assert place.run("list", "--decided") == 0
    assert capsys.readouterr().out == "committed main.1.1\naborted main.1.2\n"
    assert place.run("list", "--decided", "--json", "--prefix", "main.1.2") == 0
    assert json.loads(capsys.readouterr().out) == {"decided": {"main.1.2": "aborted"}}


def test_a_participant_that_cannot_be_asked_is_named(place: Place, capsys: Output) -> None:
    (place.folder / "west.db").write_bytes(b"no database at all" * 100)
    assert place.run("list") == 1
    assert "ringfence: 'west' could not be asked: " in capsys.readouterr().err


def test_show_tells_one_transaction(place: Place, capsys: Output) -> None:
    place.prepare("main.1.1", COMMITTED, ["east"])
    place.start()
    assert place.run("show", "main.1.1") == 1
    assert capsys.readouterr().out.splitlines() == [
        "transaction  main.1.1",
        "decision     committed",
        "branch       east: prepared",
        "next         recovery commits it",
    ]
    assert place.run("recover") == 0
    capsys.readouterr()
    assert place.run("show", "main.1.1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "gid": "main.1.1", "decision": "committed", "branches": {}, "next": None, "heuristics": [],
    }  # fmt: skip
    assert place.run("show", "main.1.99") == 1
    assert "decision     unknown" in capsys.readouterr().out


def test_show_tells_of_a_commit_in_one_phase(place: Place, capsys: Output) -> None:
    with closing(participants.from_url(place.urls["east"], 5.0)) as participant:
        participant.begin("main.1.5").execute("INSERT INTO done VALUES (5)")  # type: ignore[attr-defined]
        participant.one_phase("main.1.5")
    assert place.run("show", "main.1.5") == 0
    assert "branch       east: committed in one phase" in capsys.readouterr().out


def test_recover_follows_the_decisions(place: Place, capsys: Output) -> None:
    place.prepare("main.1.1", COMMITTED, ["east"])
    place.prepare("main.1.2", names=["west"])
    place.start()
    assert place.run("recover") == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 committed, 1 rolled back, 0 left",
        "main.1.1 committed on east",
        "main.1.2 aborted on west",
    ]
    assert (place.done("east"), place.done("west")) == (["main.1.1"], [])
    assert place.run("recover") == 0
    assert capsys.readouterr().out == "0 committed, 0 rolled back, 0 left\n"


def test_recover_leaves_the_newest_to_their_coordinator(place: Place, capsys: Output) -> None:
    place.prepare("main.1.1")
    assert place.run("recover") == 0
    assert capsys.readouterr().out == "0 committed, 0 rolled back, 0 left\n"
    assert place.start() == 2  # it was not taken over
    place.prepare("late.1.1", names=[])
    assert place.run("recover", "--take-over", "main") == 0
    assert capsys.readouterr().out.startswith("0 committed, 2 rolled back, 0 left\n")
    assert place.start() == 4


def test_a_coordinator_is_taken_over_only_where_it_was_started(place: Place, capsys: Output) -> None:
    """In another decision store nothing stands, and what the right one commits would be rolled back."""
    place.start()
    place.prepare("main.2.1", COMMITTED)
    place.decisions += ".other"
    for _ in range(3):
        assert place.run("recover", "--take-over", "main") == 2
        assert "no coordinator 'main' ever started here" in capsys.readouterr().err
    assert place.start() == 1
    for _ in range(3):
        assert place.run("recover", "--take-over", "main") == 2
        assert "'main' is at epoch 1 there; put the right one back" in capsys.readouterr().err
    assert place.start() == 2


def test_recover_watches_until_a_signal_comes(place: Place) -> None:
    place.prepare("main.1.1", COMMITTED, ["east"])
    place.start()
    words = [
        sys.executable,
        "-m",
        "ringfence",
        "txn",
        "recover",
        "--watch",
        "--every",
        "0.05",
        *place.options(),
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines == [
            "recovering every 0.05 s\n", "1 committed, 0 rolled back, 0 left\n", "main.1.1 committed on east\n",
        ]  # fmt: skip
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate(timeout=60)


def test_resolve_follows_the_decision(place: Place, capsys: Output) -> None:
    place.prepare("main.1.1", COMMITTED)
    assert place.run("resolve", "main.1.1", "east", "commit", "--yes") == 0
    assert capsys.readouterr().out == "main.1.1 committed on east\n"
    assert (place.done("east"), place.done("west")) == (["main.1.1"], [])


def test_resolve_decides_before_it_rolls_back(place: Place, capsys: Output) -> None:
    place.prepare("main.1.1")
    assert place.run("resolve", "main.1.1", "east", "rollback", "--yes") == 0
    assert place.run("list", "--decided") == 0
    assert capsys.readouterr().out == "main.1.1 aborted on east\naborted main.1.1\n"


@pytest.mark.parametrize(("decided", "how"), [(COMMITTED, "rollback"), (ABORTED, "commit"), (None, "commit")])
def test_resolve_does_not_contradict_the_decision_unless_forced(
    place: Place, decided: Outcome | None, how: str, capsys: Output
) -> None:
    place.prepare("main.1.1", decided)
    assert place.run("resolve", "main.1.1", "east", how, "--yes") == 1
    said = capsys.readouterr().err
    assert "main.1.1" in said
    assert "Nothing was changed" in said
    assert place.run("list", "--json") == 0
    assert json.loads(capsys.readouterr().out)["in_doubt"][0]["prepared"] == ["east", "west"]
    assert place.run("resolve", "main.1.1", "east", how, "--yes", "--force") == 0
    ended = "committed" if how == "commit" else "aborted"
    assert place.done("east") == (["main.1.1"] if how == "commit" else [])
    capsys.readouterr()
    assert place.run("list") == 0
    assert f"heuristic: main.1.1 on east: {ended} by hand" in capsys.readouterr().out
    assert place.run("show", "main.1.1") == 1
    assert f"heuristic    east: {ended} by hand" in capsys.readouterr().out
    assert place.run("forget", "main.1.1") == 0
    assert place.run("forget", "main.1.1") == 1
    assert capsys.readouterr().out.splitlines() == [
        "forgot the heuristic outcomes of main.1.1", "main.1.1 has no heuristic outcome",
    ]  # fmt: skip


def test_resolve_leaves_what_was_decided_elsewhere_unless_forced(place: Place, capsys: Output) -> None:
    """As when --decisions is mistyped: the store is made, and knows of nothing."""
    place.prepare("main.1.1", COMMITTED)
    place.decisions += ".other"
    assert place.run("resolve", "main.1.1", "east", "rollback", "--yes") == 1
    assert "'main.1.1' is not from this decision store" in capsys.readouterr().err
    assert place.run("list", "--decided") == 0
    assert capsys.readouterr().out == ""
    assert place.run("resolve", "main.1.1", "east", "rollback", "--yes", "--force") == 0
    assert place.run("show", "main.1.1") == 1
    assert "heuristic    east: aborted by hand" in capsys.readouterr().out


def test_resolve_asks_first(place: Place, capsys: Output) -> None:
    place.prepare("main.1.1", COMMITTED)
    assert place.run("resolve", "main.1.1", "east", "commit") == 2
    assert "give --yes" in capsys.readouterr().err
    assert place.done("east") == []


def test_resolve_needs_a_prepared_branch(place: Place, capsys: Output) -> None:
    assert place.run("resolve", "main.1.1", "east", "commit", "--yes") == 1
    assert "main.1.1 is not prepared on 'east'; nothing was changed" in capsys.readouterr().err
    assert place.run("resolve", "main.1.1", "north", "commit", "--yes") == 2
    assert "no participant 'north'; given are: east, west" in capsys.readouterr().err


def test_stores_are_named_in_a_file(place: Place, capsys: Output) -> None:
    lines = [f'decisions = "{place.decisions}"', "[participants]"]
    lines += [f'{name} = "{url}"' for name, url in place.urls.items()]
    path = place.folder / "stores.toml"
    path.write_text("\n".join(lines))
    place.prepare("main.1.1", names=["west"])
    assert main(["txn", "list", "--stores", str(path)]) == 0
    assert "main.1.1" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["list", "show", "recover", "resolve", "forget", "log"])
def test_every_command_explains_itself(command: str, capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["txn", command, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert re.search(rf"^examples?:\n  ringfence txn {command} ", told, re.M)
    assert command == "log" or "Exits with 0" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list"], "say where the outcomes are"),
        (["list", "--decisions", "memory://"], "lives inside one process"),
        (["list", "--decisions", "sqlite:///d.db", "--participant", "east"], "'east' is not NAME=URL"),
        (["list", "--stores", "/nowhere/stores.toml"], "cannot be read as TOML"),
        (["show", "no gid", "--decisions", "sqlite:///d.db"], "is not a gid"),
        (["recover", "--decisions", "sqlite:///d.db", "--take-over", "no name"], "cannot name a coordinator"),
    ],
)
def test_bad_requests_are_refused(words: list[str], said: str, capsys: Output) -> None:
    assert main(["txn", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["decisions = 5", "participants = 5", "decisions = ", "[participants]\na = 1"]
)
def test_a_file_that_names_no_stores_is_refused(tmp_path: Path, content: str, capsys: Output) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(content)
    assert main(["txn", "list", "--stores", str(path)]) == 2
    assert f"'{path}'" in capsys.readouterr().err


def test_a_log_that_decides_elsewhere_is_looked_at_and_no_more(tmp_path: Path, capsys: Output) -> None:
    place = Place(tmp_path, f"file://{tmp_path}/decisions")
    place.prepare("main.1.1", COMMITTED, ["east"])
    with closing(decisions.from_url(place.decisions, 5.0)):
        assert place.run("list") == 0
        assert "main.1.1" in capsys.readouterr().out
        assert place.run("show", "main.1.1") == 1
        assert place.run("recover") == 2
        assert f"is open in process {os.getpid()}" in capsys.readouterr().err
