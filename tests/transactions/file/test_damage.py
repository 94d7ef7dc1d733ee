"""What a crash or a bad disk makes of a log: a torn end is dropped, damage elsewhere is refused."""

import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from ringfence.errors import StoreDamaged
from ringfence.transactions.decisions.file import disk
from ringfence.transactions.decisions.file.frame import frame
from ringfence.transactions.decisions.file.log import Log

SECTOR = 512


def written(folder: Path, groups: Sequence[Sequence[str]], size: int = 4096) -> Path:
    """Write a log, and return its last segment."""
    log = Log(folder, size)
    for group in groups:
        log.append(group)
    log.close()
    return max(folder.glob("*.log"))


def read(folder: Path) -> list[str]:
    log = Log(folder)
    log.close()
    return log.records


GROUPS = [[f"committed main.1.{number}"] for number in range(1, 9)]
FLAT = [record for group in GROUPS for record in group]


def test_a_log_has_what_was_written(tmp_path: Path) -> None:
    written(tmp_path, GROUPS)
    assert read(tmp_path) == FLAT


def test_segments_follow_one_another(tmp_path: Path) -> None:
    written(tmp_path, GROUPS, size=128)
    assert len(list(tmp_path.glob("*.log"))) == 4
    assert read(tmp_path) == FLAT


def test_a_group_larger_than_a_segment_has_one_of_its_own(tmp_path: Path) -> None:
    group = [f"committed main.1.{number}" for number in range(100)]
    written(tmp_path, [["epoch main 1"], group, ["epoch main 2"]], size=128)
    assert read(tmp_path) == ["epoch main 1", *group, "epoch main 2"]


def test_every_beginning_of_a_torn_group_is_dropped(tmp_path: Path) -> None:
    last = written(tmp_path, GROUPS)
    whole = last.read_bytes()
    end = len(whole.rstrip(b"\0"))
    start = end - len(frame(GROUPS[-1]).rstrip(b"\0"))
    for cut in range(start, end):
        last.write_bytes(whole[:cut].ljust(len(whole), b"\0"))
        assert read(tmp_path) == FLAT[:-1], cut
        assert read(tmp_path) == FLAT[:-1], cut


def test_what_is_written_after_a_torn_end_stays(tmp_path: Path) -> None:
    last = written(tmp_path, GROUPS)
    whole = last.read_bytes()
    end = len(whole.rstrip(b"\0"))
    last.write_bytes(whole[: end - 3].ljust(len(whole), b"\0"))
    written(tmp_path, [["aborted main.1.8"]])
    assert read(tmp_path) == [*FLAT[:-1], "aborted main.1.8"]


def test_sectors_reach_the_disk_in_any_order(tmp_path: Path) -> None:
    """A group of many sectors of which the power cut kept any is there whole or not at all."""
    rng = random.Random(7)
    last = written(tmp_path, GROUPS, size=16384)
    before = last.read_bytes()
    group = [f"committed main.2.{number}" for number in range(150)]
    written(tmp_path, [group], size=16384)
    after = last.read_bytes()
    sectors = [
        at for at in range(0, len(after), SECTOR) if before[at : at + SECTOR] != after[at : at + SECTOR]
    ]
    assert len(sectors) > 5
    for _ in range(100):
        kept = {at for at in sectors if rng.random() < 0.7}
        image = bytearray(before)
        for at in kept:
            image[at : at + SECTOR] = after[at : at + SECTOR]
        last.write_bytes(image)
        assert read(tmp_path) == ([*FLAT, *group] if kept == set(sectors) else FLAT)


def test_every_flipped_bit_of_an_older_group_is_refused_or_harmless(tmp_path: Path) -> None:
    last = written(tmp_path, GROUPS[:3])
    whole = last.read_bytes()
    end = len(whole.rstrip(b"\0")) - len(frame(GROUPS[2]).rstrip(b"\0"))
    for bit in range(end * 8):
        image = bytearray(whole)
        image[bit // 8] ^= 1 << bit % 8
        last.write_bytes(image)
        try:
            assert read(tmp_path) == FLAT[:3]
            assert not whole[bit // 8]  # what fills a frame up to eight bytes says nothing
        except StoreDamaged:
            pass


def test_a_segment_that_ends_torn_is_refused_when_others_follow(tmp_path: Path) -> None:
    written(tmp_path, GROUPS, size=128)
    first = tmp_path / "00000001.log"
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole.rstrip(b"\0")) - 3].ljust(len(whole), b"\0"))
    with pytest.raises(StoreDamaged, match="and segments follow"):
        read(tmp_path)


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    written(tmp_path, GROUPS, size=128)
    (tmp_path / "00000002.log").unlink()
    with pytest.raises(StoreDamaged, match="one is missing"):
        read(tmp_path)


def test_a_segment_of_another_log_is_refused(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    written(tmp_path / "ours", GROUPS, size=128)
    written(tmp_path / "theirs", [GROUPS[0] * 3, *GROUPS], size=128)
    (tmp_path / "ours/00000003.log").write_bytes((tmp_path / "theirs/00000003.log").read_bytes())
    with pytest.raises(StoreDamaged, match="does not begin with"):
        read(tmp_path / "ours")


def test_a_segment_that_was_being_made_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path, 128)
    log.append(GROUPS[0])

    def killed(path: Path, data: bytes, size: int) -> None:
        path.with_suffix(".new").write_bytes(data[:5])
        raise SystemExit

    with monkeypatch.context() as patch, suppress(SystemExit):
        patch.setattr(disk, "create", killed)
        for group in GROUPS[1:]:
            log.append(group)
    assert list(tmp_path.glob("*.new"))
    log.close()
    written(tmp_path, [["epoch main 7"]], size=128)
    assert read(tmp_path)[-1] == "epoch main 7"
    assert not list(tmp_path.glob("*.new"))
