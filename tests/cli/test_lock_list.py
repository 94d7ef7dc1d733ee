"""`ringfence lock list` and `lock break`: who holds which lock, and an end to that."""

import json
import os
from pathlib import Path

import pytest

from ringfence.cli import main
from ringfence.cli.lock import break_
from ringfence.locks import Lease, LockManager
from ringfence.locks.stores import Holder
from ringfence.testing.servers import Server


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/locks.db"


def test_list_shows_the_locks_that_are_held(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", "list", "--url", url]) == 0
    assert capsys.readouterr().out == "no lock is held\n"
    with LockManager.from_url(url) as manager, manager.lock("a", ttl=60) as lease, manager.lock("b", ttl=60):
        assert main(["lock", "list", "--url", url]) == 0
        head, first, second = capsys.readouterr().out.splitlines()
        assert head.split() == ["lock", "owner", "fence", "ends", "in", "shares"]
        assert first.split()[:3] == ["a", lease.owner, str(lease.fence)]
        assert second.startswith("b ")
        assert first.endswith(" 1 of 1")
        assert main(["lock", "list", "--url", url, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["locks"]
    assert [one["name"] for one in found] == ["a", "b"]
    assert found[0].keys() == {"name", "owner", "fence", "remaining"}
    assert 0 < found[0]["remaining"] <= 60


def test_break_frees_the_lock_and_the_fence_goes_on(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with LockManager.from_url(url) as manager, LockManager.from_url(url) as other:
        lease = manager.lock("job", ttl=60).acquire()
        assert lease is not None
        assert main(["lock", "break", "job", "--url", url, "--yes"]) == 0
        assert capsys.readouterr().out == f"broke 'job', held by owner {lease.owner}, fence {lease.fence}\n"
        with other.lock("job") as newer:
            assert newer.fence > lease.fence
        assert not lease.release()


def test_list_shows_each_who_holds_a_share(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with LockManager.from_url(url) as manager:
        semaphore = manager.semaphore("pool", 3, ttl=60)
        with semaphore as first, semaphore as second:
            assert main(["lock", "list", "--url", url]) == 0
            _, *lines = capsys.readouterr().out.splitlines()
            assert [line.split()[1] for line in lines] == [first.owner, second.owner]
            assert all(line.endswith("1 of 3") for line in lines)
            assert main(["lock", "list", "--url", url, "--json"]) == 0
            found = json.loads(capsys.readouterr().out)["locks"]
    assert [(one["name"], one["shares"], one["of"]) for one in found] == [("pool", 1, 3)] * 2


def test_break_frees_all_shares_and_the_plain_lock_of_the_name(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with LockManager.from_url(url) as manager:
        locks = [manager.lock("job", ttl=60), *[manager.rwlock("job", ttl=60).read] * 2]
        leases = [lock.acquire() for lock in locks]
        assert main(["lock", "break", "job", "--url", url, "--yes"]) == 0
        out = capsys.readouterr().out
        for lease in leases:
            assert lease is not None
            assert f"broke 'job', held by owner {lease.owner}, fence {lease.fence}" in out
            assert not lease.release()
        assert manager.leases() == []


def test_break_asks_about_each_share(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["n", "y"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    with LockManager.from_url(url) as manager:
        semaphore = manager.semaphore("job", 2, ttl=60)
        kept, broken = semaphore.acquire(), semaphore.acquire()
        assert main(["lock", "break", "job", "--url", url]) == 1
        assert kept is not None
        assert broken is not None
        assert kept.release()
        assert not broken.release()
    assert "nothing was changed" in capsys.readouterr().out


def test_the_commands_work_over_a_server(redis_server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    name, url = f"job of {os.getpid()}", redis_server.url
    assert main(["lock", "run", name, "--url", url, "--", "sh", "-c", "echo $FENCE"]) == 0
    fence = int(capfd.readouterr().out)
    with LockManager.from_url(url) as manager:
        lease = manager.lock(name, ttl=60).acquire()
        assert lease is not None
        assert lease.fence > fence
        assert main(["lock", "run", name, "--url", url, "--no-wait", "--", "echo", "ran"]) == 124
        assert main(["lock", "list", "--url", url]) == 0
        assert f"{name}  {lease.owner}" in capfd.readouterr().out
        assert main(["lock", "break", name, "--url", url, "--yes"]) == 0
        assert f"fence {lease.fence}" in capfd.readouterr().out
        assert not lease.release()


def test_break_of_a_free_lock_says_so(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", "break", "job", "--url", url, "--yes"]) == 1
    assert capsys.readouterr().out == "'job' is not held\n"


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("Yes", 0), ("n", 1), ("", 1)])
def test_break_asks(
    url: str, answer: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    with LockManager.from_url(url) as manager:
        lease = manager.lock("job", ttl=60).acquire()
        assert lease is not None
        assert main(["lock", "break", "job", "--url", url]) == code
        assert lease.release() == (code == 1)
    out = capsys.readouterr().out
    assert f"held by owner {lease.owner}, fence {lease.fence}" in out
    assert ("nothing was changed" in out) == (code == 1)


def test_break_asks_nobody_where_nobody_answers(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with LockManager.from_url(url) as manager, manager.lock("job", ttl=60):
        assert main(["lock", "break", "job", "--url", url]) == 2
    assert "give --yes" in capsys.readouterr().err


def test_break_leaves_a_newer_holder_alone(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with LockManager.from_url(url) as manager:
        first = manager.lock("job", ttl=60).acquire()
        assert first is not None
        newer: list[Lease] = []

        def change_hands(_: Holder) -> bool:
            first.release()
            newer.append(manager.lock("job", ttl=60).__enter__())
            return True

        monkeypatch.setattr(break_, "_confirmed", change_hands)
        assert main(["lock", "break", "job", "--url", url]) == 1
        assert newer[0].release()
    assert "no longer held by" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "run",
            (
                "--ttl",
                "--timeout",
                "--no-wait",
                "--grace",
                "exit codes",
                "123",
                "124",
                "125",
                "RINGFENCE_FENCE",
            ),
        ),
        ("list", ("--url", "--json")),
        ("break", ("--url", "--yes", "renews")),
    ],
)
def test_help_says_it_all(command: str, said: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["lock", command, "--help"])
    output = capsys.readouterr().out
    assert all(word in output for word in said)
