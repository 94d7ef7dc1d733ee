"""The guard of a file: killed at every step it leaves the old file or the new one, and no way back."""

import fcntl
import os
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringfence.errors import (
    BackendUnavailable,
    FenceRejected,
    InvalidType,
    InvalidValue,
    OutcomeUnknown,
    StoreDamaged,
    StoreError,
    StoreTimeout,
)
from ringfence.locks.guards import FileGuard

STEPS = [(os, name) for name in ("open", "fsync", "rename", "listdir", "fchmod", "fstat", "unlink")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "report.txt"


def put(path: Path, fence: int, text: str) -> None:
    with FileGuard(path).write(fence) as file:
        file.write(text.encode())


def killed(step: int, work: Callable[[], None]) -> bool:
    """Do `work` in a child that is killed before its nth call of the system; False if it makes fewer."""
    child = os.fork()
    if child == 0:
        fuse = [step]

        def burning(call: Callable[..., Any]) -> Callable[..., Any]:
            def burn(*args: Any, **kwargs: Any) -> Any:
                fuse[0] -= 1
                if fuse[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)

            return burn

        for module, name in (*STEPS, (fcntl, "flock")):
            setattr(module, name, burning(getattr(module, name)))
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_killed_at_every_step_it_leaves_old_or_new(tmp_path: Path) -> None:
    found = set()
    for step in range(1, 100):
        folder = tmp_path / str(step)
        folder.mkdir()
        path = folder / "report.txt"
        put(path, 5, "old")
        if not killed(step, lambda path=path: put(path, 6, "new" * 10_000)):  # type: ignore[misc]
            break
        text = path.read_text()
        found.add((text, FileGuard(path).mark()))
        with pytest.raises(FenceRejected):
            put(path, 4, "older")
        put(path, 7, "newer")  # nothing is stuck
        assert path.read_text() == "newer"
        assert sorted(os.listdir(folder)) == ["report.txt", "report.txt.fence"]
    else:
        raise AssertionError("it never came to its end")
    assert found == {("old", 5), ("old", 6), ("new" * 10_000, 6)}


def test_a_block_that_fails_leaves_nothing_behind(path: Path) -> None:
    put(path, 1, "old")

    def fail() -> None:
        with FileGuard(path).write(2) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert sorted(os.listdir(path.parent)) == ["report.txt", "report.txt.fence"]


def test_a_reader_sees_the_old_file_until_the_block_ends(path: Path) -> None:
    put(path, 1, "old")
    with path.open() as reader:
        with FileGuard(path).write(2) as file:
            file.write(b"new")
            file.flush()
            assert path.read_text() == "old"
        assert path.read_text() == "new"
        assert reader.read() == "old"


def test_an_older_holder_is_refused_as_soon_as_the_block_begins(path: Path) -> None:
    """So whoever reads inside the block knows that nothing older changes what it has read."""
    with FileGuard(path).write(2) as file:
        with pytest.raises(FenceRejected):
            put(path, 1, "old")
        file.write(b"new")
    assert path.read_text() == "new"


def test_permissions_stay(path: Path) -> None:
    put(path, 1, "old")
    path.chmod(0o640)
    put(path, 2, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_followed(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    put(link, 1, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    with pytest.raises(FenceRejected):
        put(path, 0, "old")


def test_a_relative_path_is_kept_when_the_process_moves(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    guard = FileGuard("report.txt")
    monkeypatch.chdir("/")
    with guard.write(1) as file:
        file.write(b"here")
    assert path.read_text() == "here"


def test_leftovers_of_other_files_stay(path: Path) -> None:
    others = [
        path.with_name(name)
        for name in (".report.txt.1.new", ".report.txt.7.12345678.new", ".x.1.12345678.new")
    ]
    for other in others:
        other.touch()
    leftover = path.with_name(".report.txt.1.12345678.new")
    leftover.touch()
    put(path, 5, "new")
    assert all(other.exists() for other in others)
    assert not leftover.exists()


def test_a_lock_that_is_not_given_back_times_out(path: Path) -> None:
    put(path, 1, "old")
    with path.with_name("report.txt.fence").open() as sidecar:
        fcntl.flock(sidecar, fcntl.LOCK_EX)
        with pytest.raises(StoreTimeout), FileGuard(path, timeout=0.02).write(2):
            pass
    assert path.read_text() == "old"


def test_a_writer_waits_for_the_lock(path: Path) -> None:
    put(path, 1, "old")
    with path.with_name("report.txt.fence").open() as sidecar:
        fcntl.flock(sidecar, fcntl.LOCK_EX)
        writer = threading.Thread(target=put, args=(path, 2, "new"))
        writer.start()
        writer.join(0.05)
        assert path.read_text() == "old"
    writer.join(30)
    assert path.read_text() == "new"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="create the folder"):
        put(tmp_path / "no" / "report.txt", 1, "x")


def test_a_file_that_cannot_be_replaced_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="nothing was changed"):
        put(tmp_path / "folder", 1, "x")


def test_a_sidecar_that_holds_no_fence_is_told(path: Path) -> None:
    path.with_name("report.txt.fence").write_text("12x")
    with pytest.raises(StoreDamaged, match=r"report\.txt\.fence"):
        put(path, 13, "x")


def test_closing_the_file_inside_the_block_is_an_error(path: Path) -> None:
    with pytest.raises(StoreError, match="closed inside its block"), FileGuard(path).write(1) as file:
        file.close()


def test_a_rename_that_may_not_last_is_unknown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, 1, "old")

    def fail() -> None:
        raise OSError("the disk is gone")

    guard = FileGuard(path)
    monkeypatch.setattr(guard, "_sync_folder", fail)
    with pytest.raises(OutcomeUnknown, match="the disk is gone"), guard.write(1) as file:
        file.write(b"new")
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("path", "error"), [(1, InvalidType), (None, InvalidType), ("x" * 300, InvalidValue)]
)
def test_a_file_is_given_by_its_path(path: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        FileGuard(path)
