"""What the demo takes as its input, and what it names instead of hiding."""

import os
from pathlib import Path

import pytest

from ringfence.cli.demo import source
from ringfence.cli.demo.source import Skipped
from ringfence.errors import InvalidValue


def test_finds_every_file_but_what_the_user_installed(tmp_path: Path) -> None:
    for path in ("b.py", "a/c.txt", "a/.hidden", "site-packages/x.py", "a/dist-packages/y.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    assert source.find(tmp_path) == ["a/.hidden", "a/c.txt", "b.py"]


def test_the_standard_library_is_real_input() -> None:
    paths = source.find(source.standard_library())
    assert "os.py" in paths
    assert len(paths) > 500


def test_reads_bytes_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\r\n\0\xff")
    assert source.read(tmp_path, "x") == b"\r\n\0\xff"


def test_names_what_it_cannot_take(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "linked").symlink_to("folder")
    os.mkfifo(tmp_path / "pipe")
    skipped = [source.read(tmp_path, path) for path in source.find(tmp_path)]
    assert skipped == [
        Skipped("broken", "No such file or directory"),
        Skipped("linked", "not a regular file"),
        Skipped("pipe", "not a regular file"),
    ]


def test_names_a_file_whose_name_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff")).write_text("x")
    [path] = source.find(tmp_path)
    assert source.read(tmp_path, path) == Skipped(r"bad\xff", "the name is not UTF-8")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_names_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)
    assert source.read(tmp_path, "secret") == Skipped("secret", "Permission denied")


def test_refuses_a_source_without_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="no file below"):
        source.find(tmp_path)
    with pytest.raises(InvalidValue, match="'nowhere' is not a folder"):
        source.find(Path("nowhere"))
