"""The demo: it ends well when nothing is wrong, and says so when anything is."""

import hashlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ringfence.cli import demo, main
from ringfence.cli.demo import journal
from ringfence.cli.demo.place import FIRST, JOINING, SHARDS, Place, grown
from ringfence.cli.demo.verify import Findings, verify
from tests.cli.conftest import Ended

Tamper = Callable[[Place], None]


def look(place: Place) -> Findings:
    return verify(place, place.manifest(), journal.read(place.folder), lambda _: None)


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


def shard_of(place: Place, key: str) -> Path:
    return place.shard(grown()[key])


def test_everything_survives(ended: Ended) -> None:
    assert ended.code == 0
    assert "verified: every file byte for byte" in ended.output
    assert look(ended.place).problems == []


def test_the_report_has_all_figures(ended: Ended) -> None:
    for words in (
        "40 (1 skipped)",
        "120 (each file",
        "199,680",
        "ideal 1/6 = 16.67%",
        "rebalancer",
        "committed",
    ):
        assert words in ended.output
    assert "skipped: 'broken': No such file or directory" in ended.output
    assert all(f"{shard}  " in ended.output for shard in SHARDS)
    assert f"sqlite3 {ended.place.shard(JOINING)}" in ended.output


def test_workers_were_killed_and_did_work(ended: Ended) -> None:
    account = journal.read(ended.place.folder)
    assert account.words["ok"] > 0
    assert account.words["batch"] > 0
    figures = re.search(r"SIGKILLs +(\d+) \(rebalancer (\d+), writer-1 (\d+), writer-2 (\d+)\)", ended.output)
    assert figures
    total, *each = map(int, figures.groups())
    assert (
        sum(each) == total >= 6
    )  # each writer once more at the end; the rebalancer may have ended just before


def test_plain_sqlite_finds_the_files(ended: Ended) -> None:
    for file in ended.place.manifest():
        with closing(sqlite3.connect(shard_of(ended.place, file.key))) as connection:
            [(content,)] = connection.execute("SELECT value FROM entry WHERE key = ?", (file.key,))
        assert hashlib.sha256(content).hexdigest() == file.digest


def lose(place: Place) -> None:
    change(shard_of(place, KEY), "DELETE FROM entry WHERE key = ?", KEY)


def corrupt(place: Place) -> None:
    change(shard_of(place, KEY), "UPDATE entry SET value = CAST('x' AS BLOB) WHERE key = ?", KEY)


def truncate(place: Place) -> None:
    change(shard_of(place, KEY), "UPDATE entry SET value = substr(value, 2) WHERE key = ?", KEY)


def duplicate(place: Place) -> None:
    elsewhere = next(shard for shard in FIRST if shard != grown()[KEY])
    change(place.shard(elsewhere), "INSERT INTO entry VALUES (?, x'00')", KEY)


def misplace(place: Place) -> None:
    lose(place)
    duplicate(place)


def forget_an_update(place: Place) -> None:
    for key in ("count/a/", "count/b/"):
        change(
            shard_of(place, key + UPDATED), "UPDATE entry SET value = '99999' WHERE key = ?", key + UPDATED
        )


def half_update(place: Place) -> None:
    change(
        shard_of(place, f"count/b/{UPDATED}"),
        "UPDATE entry SET value = '99999' WHERE key = ?",
        f"count/b/{UPDATED}",
    )


def leave_in_doubt(place: Place) -> None:
    change(place.shard(JOINING), "INSERT INTO ringfence_intent (gid, redo) VALUES ('writer-1.1.1', '[]')")


def leave_migrating(place: Place) -> None:
    change(place.shard(JOINING), "UPDATE ringfence_ring SET previous = ring")


def leave_a_lease(place: Place) -> None:
    change(place.locks, "INSERT INTO ringfence_lease VALUES ('rebalance', 'somebody', 1, 1e12, 10.0, 'boot')")


UPDATED = "part-1/file [1].bin"
KEY = f"file/{UPDATED}"


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lose, f"lost: {KEY!r} is on no shard"),
        (corrupt, f"corrupted: {KEY!r}"),
        (truncate, f"corrupted: {KEY!r}"),
        (duplicate, f"duplicated: {KEY!r}"),
        (misplace, f"misplaced: {KEY!r}"),
        (forget_an_update, f"miscounted: {UPDATED!r}"),
        (half_update, f"half updated: the counters of {UPDATED!r}"),
        (leave_in_doubt, "in doubt: transaction writer-1.1.1"),
        (leave_migrating, f"unfinished: {JOINING}"),
        (leave_a_lease, "lease left: 'rebalance' is still held by somebody"),
    ],
)
def test_names_what_is_wrong(left: Place, tamper: Tamper, words: str) -> None:
    tamper(left)
    assert any(line.startswith(words) for line in look(left).problems)


def test_a_lost_acknowledged_update_is_seen(left: Place) -> None:
    with left.journal("writer-1").open("a", encoding="ascii") as written:
        written.write("try 1\nok 1\n" * 100)
    [problem] = look(left).problems
    assert problem.startswith("miscounted: ")


@pytest.mark.parametrize("tamper", [lose, corrupt, duplicate])
def test_exits_1_when_anything_is_lost(
    tamper: Tamper, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settle = demo.settle

    def settle_and_tamper(place: Place) -> None:
        settle(place)
        tamper(place)

    monkeypatch.setattr(demo, "settle", settle_and_tamper)
    assert main(["demo", "--source", str(source), "--kills", "0"]) == 1
    output = capsys.readouterr().out
    assert KEY in output
    assert "FAILED" in output


def test_exits_1_when_a_worker_fails(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Place, "write_manifest", lambda *_: None)  # without it no writer can work
    assert main(["demo", "--source", str(source), "--kills", "20"]) == 1
    assert "FAILED: writer-" in capsys.readouterr().out


def test_keeps_nothing_unless_asked(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["demo", "--source", str(source), "--kills", "0"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_refuses_a_folder_that_is_in_use(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("x")
    assert main(["demo", "--source", str(source), "--keep", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["demo", "--source", str(source), "--keep", str(tmp_path / "mine")]) == 2
    assert "cannot be used" in capsys.readouterr().err


def test_names_the_extra_when_rich_is_missing(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["demo", "--source", str(source)]) == 2
    assert "pip install 'ringfence[cli]'" in capsys.readouterr().err


def children(folder: Path) -> list[int]:
    """Return the worker processes that work on a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(folder).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_leaves_no_process_behind(source: Path, tmp_path: Path, end: signal.Signals) -> None:
    kept = tmp_path / "kept"
    command = [sys.executable, "-m", "ringfence", "demo", "--source", str(source), "--keep", str(kept)]
    with subprocess.Popen(
        [*command, "--kills", "1000"],
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        preexec_fn=heed_interrupts,
    ) as process:
        try:
            await_condition(lambda: (kept / "writer-2.journal").exists())
            os.kill(process.pid, end)
            assert process.wait(20) == (130 if end is signal.SIGINT else -signal.SIGKILL)
        finally:
            process.kill()
    await_condition(lambda: not [pid for pid in children(kept) if pid != process.pid])


def heed_interrupts() -> None:
    """Undo what a shell does to the jobs it starts in the background: they inherit that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def await_condition(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["demo", "--help"])
    output = capsys.readouterr().out
    assert all(option in output for option in ("--source", "--keep", "--kills", "--seed"))


def test_a_wrong_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "--kills", "-1"])
    assert "-1 is below 0" in capsys.readouterr().err


def test_runs_as_a_module_in_a_dumb_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ringfence", "--version"],
        env={**os.environ, "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout.startswith("ringfence ")
