"""`ringfence lock run`: what runs under a lock ends with it, whatever is killed, stopped or signalled."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ringfence.cli import main
from ringfence.locks import LockManager
from ringfence.locks.stores import Holder
from ringfence.locks.stores.sqlite import SqliteStore

PATIENCE = 60.0
LOST, NOT_ACQUIRED, STORE_FAILED = 123, 124, 125
Process = subprocess.Popen[bytes]

HANGS = "echo $$; while :; do sleep 0.05; done"
"""A script for `sh` that writes its process id and never ends by itself."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/locks.db"


def words(url: str, *command: str, options: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, "-m", "ringfence", "lock", "run", "job", "--url", url, *options, "--", *command]


def done(
    url: str, *command: str, options: tuple[str, ...] = (), **given: Any
) -> subprocess.CompletedProcess[str]:
    given = {"stdin": subprocess.DEVNULL} | given if "input" not in given else given
    return subprocess.run(
        words(url, *command, options=options), capture_output=True, text=True, timeout=PATIENCE, check=False, **given
    )  # fmt: skip


@contextmanager
def started(url: str, *command: str, options: tuple[str, ...] = (), **given: Any) -> Iterator[Process]:
    """Run a command under the lock; what is left of it is killed in the end, the command too."""
    with subprocess.Popen(
        words(url, *command, options=options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=heed_signals, **given,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def heed_signals() -> None:
    """Undo what a shell does to the jobs it starts in the background: they inherit that SIGINT is ignored."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def line(process: Process) -> str:
    """Return the next line that the command writes."""
    assert process.stdout
    return process.stdout.readline().decode().strip()


def await_condition(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


def is_running(pid: int) -> bool:
    """Is there a process of that id, other than one that has ended and was not waited for?"""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def holder(url: str) -> Holder | None:
    store = SqliteStore(url.removeprefix("sqlite:///"))
    try:
        return store.status("job").holder
    finally:
        store.close()


@pytest.mark.parametrize("code", [0, 77])
def test_the_commands_exit_code_is_passed_on(url: str, code: int) -> None:
    assert done(url, "sh", "-c", f"exit {code}").returncode == code
    assert holder(url) is None


def test_input_output_and_arguments_are_passed_through(url: str) -> None:
    ran = done(url, "sh", "-c", 'cat; echo "$@" >&2', "sh", "--", "-x", "a b", "--yes", input="in\n")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "in\n", "-- -x a b --yes\n")


def test_further_open_files_are_passed_through(url: str) -> None:
    reader, writer = os.pipe()
    try:
        assert done(url, "sh", "-c", f"echo deep >/dev/fd/{writer}", pass_fds=(writer,)).returncode == 0
        assert os.read(reader, 100) == b"deep\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_the_fence_is_in_the_environment(url: str) -> None:
    fences = [done(url, "sh", "-c", "echo $FENCE $RINGFENCE_FENCE").stdout.split() for _ in range(2)]
    assert all(first == second for first, second in fences)
    assert 0 < int(fences[0][0]) < int(fences[1][0])


def test_the_lock_is_held_while_the_command_runs(url: str) -> None:
    ran = done(url, sys.executable, "-m", "ringfence", "lock", "list", "--url", url, "--json")
    [held] = json.loads(ran.stdout)["locks"]
    assert held["name"] == "job"
    assert held["fence"] > 0


@pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), ("/", 126), ("/dev/null/x", 127)])
def test_what_cannot_be_run_has_the_code_that_shells_give_it(url: str, command: str, code: int) -> None:
    ran = done(url, command)
    assert ran.returncode == code
    assert ran.stderr.startswith(f"ringfence: cannot run {command!r}: ")
    assert holder(url) is None


def test_a_file_that_is_no_program_is_not_executable(url: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo no")
    assert done(url, str(script)).returncode == 126
    script.chmod(0o755)
    assert done(url, str(script)).returncode == 126


def test_a_command_ended_by_a_signal_is_told_as_shells_do(url: str) -> None:
    assert done(url, "sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert done(url, "sh", "-c", "kill -PIPE $$").returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signals_reach_the_command(url: str, number: signal.Signals) -> None:
    script = f"trap 'echo got; exit 9' {number.name.removeprefix('SIG')}; {HANGS}"
    with started(url, "sh", "-c", script) as process:
        line(process)
        process.send_signal(number)
        assert line(process) == "got"
        assert process.wait(PATIENCE) == 9
    assert holder(url) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_signals_end_a_command_that_does_not_catch_them(url: str, number: signal.Signals) -> None:
    with started(url, "sh", "-c", HANGS) as process:
        line(process)
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number


@needs_proc
def test_signals_reach_a_whole_pipeline(url: str) -> None:
    with started(url, "sh", "-c", f"sh -c '{HANGS}' | cat; echo never") as process:
        inner = int(line(process))
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    await_condition(lambda: not is_running(inner))


def test_signals_that_are_ignored_stay_ignored(url: str) -> None:
    """As with nohup."""
    command = words(url, "sh", "-c", "echo ready; read line; echo $line")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN) and None,
    ) as process:  # fmt: skip
        try:
            assert line(process) == "ready"
            process.send_signal(signal.SIGHUP)
            assert process.communicate(b"on\n", PATIENCE)[0] == b"on\n"
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills the children of a process that dies")
def test_the_command_dies_with_a_runner_that_is_killed(url: str) -> None:
    with started(url, "sh", "-c", HANGS, options=("--ttl", "1")) as process:
        child = int(line(process))
        assert is_running(child)
        process.kill()
        await_condition(lambda: not is_running(child))
    assert done(url, "echo", "next", options=("--timeout", "30")).stdout == "next\n"


@needs_proc
def test_a_runner_stopped_past_its_lease_stops_the_command(url: str) -> None:
    with started(url, "sh", "-c", HANGS, options=("--ttl", "0.5")) as process:
        child = int(line(process))
        process.send_signal(signal.SIGSTOP)
        newer = done(url, "sh", "-c", "echo $FENCE", options=("--timeout", "30"))
        assert newer.returncode == 0
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == LOST
        assert re.search(rb"the lease on 'job' \(fence \d+\) was lost while 'sh' was running", err)
        assert not is_running(child)


@needs_proc
def test_a_command_that_ignores_sigterm_is_killed_after_the_grace(url: str) -> None:
    options = ("--ttl", "0.5", "--grace", "0.3")
    with started(url, "sh", "-c", f"trap 'echo asked' TERM; {HANGS}", options=options) as process:
        child = int(line(process))
        assert main(["lock", "break", "job", "--url", url, "--yes"]) == 0
        assert line(process) == "asked"
        assert process.wait(PATIENCE) == LOST
        assert not is_running(child)


def test_all_processes_of_a_command_are_stopped_with_a_grace(url: str) -> None:
    """The shell ends at once at SIGTERM; the one behind it is given its time."""
    inner = f"trap 'sleep 0.3; echo cleaned; exit' TERM; {HANGS}"
    with started(url, "sh", "-c", 'sh -c "$0"; echo never', inner, options=("--ttl", "0.5")) as process:
        line(process)
        assert main(["lock", "break", "job", "--url", url, "--yes"]) == 0
        assert line(process) == "cleaned"
        assert process.wait(PATIENCE) == LOST


def test_a_lease_lost_unseen_is_told_at_the_end(url: str) -> None:
    breaks = [sys.executable, "-m", "ringfence", "lock", "break", "job", "--url", url, "--yes"]
    ran = done(url, *breaks, options=("--ttl", "60"))
    assert ran.returncode == LOST
    assert ran.stdout.startswith("broke 'job'")


def test_of_two_runners_one_runs_at_a_time(url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"echo in >> {log}; sleep 0.1; echo out >> {log}"
    with started(url, "sh", "-c", script) as one, started(url, "sh", "-c", script) as two:
        assert [one.wait(PATIENCE), two.wait(PATIENCE)] == [0, 0]
    assert log.read_text().split() == ["in", "out"] * 2


@pytest.mark.parametrize("options", [("--no-wait",), ("--timeout", "0.1")])
def test_a_held_lock_is_not_waited_for_longer_than_asked(url: str, options: tuple[str, ...]) -> None:
    with LockManager.from_url(url) as manager, manager.lock("job", ttl=60):
        ran = done(url, "echo", "ran", options=options)
    assert (ran.returncode, ran.stdout) == (NOT_ACQUIRED, "")
    assert "'job' is held by another; 'echo' was not started" in ran.stderr


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_waiting_runner_ends_at_a_signal(url: str, number: signal.Signals, tmp_path: Path) -> None:
    with LockManager.from_url(url) as manager:
        lease = manager.lock("job", ttl=60).acquire()
        with started(url, "touch", str(tmp_path / "ran")) as process:
            await_condition(lambda: _waits(process.pid))
            process.send_signal(number)
            assert process.wait(PATIENCE) == 128 + number
        assert lease is not None
        assert lease.release()
    assert not (tmp_path / "ran").exists()


def _waits(pid: int) -> bool:
    """Has it opened the store, and so installed its handlers?"""
    return any("locks.db" in _target(path) for path in (Path("/proc") / str(pid) / "fd").iterdir())


def _target(link: Path) -> str:
    """Where a link leads; nowhere if it is gone."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def test_a_store_that_fails_is_told_apart(tmp_path: Path) -> None:
    ran = done(f"sqlite:///{tmp_path}/no/such/folder.db", "echo", "ran")
    assert (ran.returncode, ran.stdout) == (STORE_FAILED, "")
    assert "create the folder" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "memory://", "--", "echo"], "lives inside one process"),
        (["--url", "nope://", "--", "echo"], "no store is known"),
        (["--url", "sqlite:///x.db", "--ttl", "0", "--", "echo"], "ttl"),
        (["--url", "sqlite:///x.db"], "COMMAND"),
        (["--", "echo"], "--url"),
        (["--url", "sqlite:///x.db", "--no-wait", "--timeout", "1", "--", "echo"], "not allowed with"),
        (["--url", "sqlite:///x.db", "--timeout", "-1", "--", "echo"], "no number of seconds"),
        (["--url", "sqlite:///x.db", "--timeout", "nan", "--", "echo"], "no number of seconds"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code: object = main(["lock", "run", "job", *arguments])
    except SystemExit as left:
        code = left.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_on_a_terminal_ctrl_c_reaches_the_command_once(url: str) -> None:
    script = f"trap 'echo got; n=1$n' INT; trap 'echo in all $n; exit' TERM; {HANGS}"
    pid, terminal = pty.fork()
    if pid == 0:
        heed_signals()
        os.execv(sys.executable, words(url, "sh", "-c", script))
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        try:
            assert re.search(rb"\d+\r\n", _shown(screen, b"\r\n"))
            os.write(screen.fileno(), b"\x03")
            _shown(screen, b"got\r\n")
            time.sleep(0.3)
            os.kill(pid, signal.SIGTERM)
            assert b"in all 1\r\n" in _shown(screen, b"in all 1\r\n")
            await_condition(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise


def _shown(screen: Any, wanted: bytes) -> bytes:
    """Read what is shown until it has what is wanted."""
    seen = b""
    while wanted not in seen:
        seen += screen.read(1000)
    return seen
