"""What a crash or a bad disk makes of a log: a torn end is dropped, damage elsewhere is refused."""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from ringfence.errors import StoreDamaged
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.frame import frame
from ringfence.transactions.decisions.file.log import Log
from ringfence.transactions.decisions.file.segments import begin, group, read_all

SECTOR = 512
IDENTITY = "0123456789abcdef"
SMALL = 512
"""Bytes of a segment that has room for a few groups."""


def write(folder: Path, groups: Sequence[Sequence[str]], size: int = 4096, *, pack: bool = False) -> Path:
    """Write a log, and return its last segment."""
    folder.mkdir(exist_ok=True)
    with closing(Disk(folder)) as disk:
        log = Log(disk, read_all(disk), size, IDENTITY)
        for records in groups:
            log.append(records)
        for number in list(log.full) if pack else ():
            log.pack(number)
    return max(folder.glob("*.log"))


def read(folder: Path) -> list[str]:
    """Open a log for writing, and return what is in it."""
    with closing(Disk(folder)) as disk:
        found = read_all(disk)
        Log(disk, found)
        return [record for segment in found for record in segment.records()]


GROUPS = [[f"committed main.1.{number}"] for number in range(1, 9)]
MANY = [[f"committed main.1.{number}"] for number in range(1, 46)]


def flat(groups: Sequence[Sequence[str]]) -> list[str]:
    return [record for records in groups for record in records]


def test_a_log_has_what_was_written(tmp_path: Path) -> None:
    write(tmp_path, GROUPS)
    assert read(tmp_path) == flat(GROUPS)


@pytest.mark.parametrize("pack", [False, True])
def test_segments_follow_one_another(tmp_path: Path, pack: bool) -> None:
    write(tmp_path, MANY, SMALL, pack=pack)
    names = sorted(path.name for path in tmp_path.iterdir())
    kind = "pack" if pack else "log"
    assert names == [f"00000001.{kind}", f"00000002.{kind}", f"00000003.{kind}", "00000004.log"]
    assert read(tmp_path) == flat(MANY)


@pytest.mark.parametrize("before", [[], [["epoch main 1"]]])
@pytest.mark.parametrize("pack", [False, True])
def test_a_group_larger_than_a_segment_has_one_of_its_own(
    tmp_path: Path, before: list[list[str]], pack: bool
) -> None:
    records = [f"committed main.1.{number}" for number in range(100)]
    write(tmp_path, [*before, records, GROUPS[0] * 20], SMALL, pack=pack)
    assert len(list(tmp_path.glob("0*"))) == 3
    assert read(tmp_path) == [*flat(before), *records, *GROUPS[0] * 20]


def test_every_beginning_of_a_torn_group_is_dropped(tmp_path: Path) -> None:
    last = write(tmp_path, GROUPS)
    whole = last.read_bytes()
    end = len(whole.rstrip(b"\0"))
    start = end - len(group(GROUPS[-1]).rstrip(b"\0"))
    for cut in range(start, end):
        last.write_bytes(whole[:cut].ljust(len(whole), b"\0"))
        assert read(tmp_path) == flat(GROUPS[:-1]), cut
        assert read(tmp_path) == flat(GROUPS[:-1]), cut


def test_what_is_written_after_a_torn_end_stays(tmp_path: Path) -> None:
    last = write(tmp_path, GROUPS)
    whole = last.read_bytes()
    end = len(whole.rstrip(b"\0"))
    last.write_bytes(whole[: end - 3].ljust(len(whole), b"\0"))
    write(tmp_path, [["aborted main.1.8"]])
    assert read(tmp_path) == [*flat(GROUPS[:-1]), "aborted main.1.8"]


def test_sectors_reach_the_disk_in_any_order(tmp_path: Path) -> None:
    """A group of many sectors of which the power cut kept any is there whole or not at all."""
    rng = random.Random(7)
    last = write(tmp_path, GROUPS, size=16384)
    before = last.read_bytes()
    records = [f"committed main.2.{number}" for number in range(150)]
    write(tmp_path, [records], size=16384)
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
        assert read(tmp_path) == [*flat(GROUPS), *(records if kept == set(sectors) else [])]


def flipped(whole: bytes, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield the number of each byte up to `end`, and the whole with one of its bits flipped."""
    for place in range(end):
        image = bytearray(whole)
        image[place] ^= 1 << place % 8
        yield place, bytes(image)


def refused(folder: Path, file: Path, records: list[str]) -> bool:
    """Return whether a log does not open, as this file is damaged; else it has these records."""
    try:
        assert read(folder) == records
    except StoreDamaged as error:
        return f"{file}' is damaged at byte" in str(error)
    return False


def test_a_flipped_bit_of_an_older_group_is_refused_or_harmless(tmp_path: Path) -> None:
    last = write(tmp_path, GROUPS[:3])
    whole = last.read_bytes()
    end = len(whole.rstrip(b"\0")) - len(group(GROUPS[2]).rstrip(b"\0"))
    for place, image in flipped(whole, end):
        last.write_bytes(image)
        # what fills a frame up to eight bytes says nothing
        assert refused(tmp_path, last, flat(GROUPS[:3])) or not whole[place]


def test_a_flipped_bit_of_a_pack_is_refused_or_harmless(tmp_path: Path) -> None:
    write(tmp_path, MANY[:15], SMALL, pack=True)
    pack = tmp_path / "00000001.pack"
    whole = pack.read_bytes()
    for place, image in flipped(whole, len(whole)):
        pack.write_bytes(image)
        assert refused(tmp_path, pack, flat(MANY[:15])) or not whole[place]


def test_damage_is_named_by_file_and_byte(tmp_path: Path) -> None:
    last = write(tmp_path, GROUPS)
    whole = bytearray(last.read_bytes())
    second = len(frame(bytes(whole[8 : 8 + int.from_bytes(whole[:4], "little")])))
    whole[second + 10] ^= 1
    last.write_bytes(whole)
    behind = second + len(group(GROUPS[0]))
    with pytest.raises(StoreDamaged, match=f"{last}' is damaged at byte {second}, .* at byte {behind}"):
        read(tmp_path)


def test_a_segment_that_ends_torn_is_refused_when_others_follow(tmp_path: Path) -> None:
    write(tmp_path, MANY, SMALL)
    first = tmp_path / "00000001.log"
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole.rstrip(b"\0")) - 3].ljust(len(whole), b"\0"))
    with pytest.raises(StoreDamaged, match="and segments follow"):
        read(tmp_path)


@pytest.mark.parametrize("pack", [False, True])
def test_a_missing_segment_is_refused(tmp_path: Path, pack: bool) -> None:
    write(tmp_path, MANY, SMALL, pack=pack)
    next(tmp_path.glob("00000002.*")).unlink()
    with pytest.raises(StoreDamaged, match="is missing"):
        read(tmp_path)


def test_a_segment_that_is_packed_while_the_log_is_read_is_read_from_its_pack(tmp_path: Path) -> None:
    class Packing(Disk):
        def names(self) -> list[str]:
            names = super().names()
            with closing(Disk(tmp_path)) as disk:
                log = Log(disk, read_all(disk))
                for number in list(log.full):
                    log.pack(number)
            return names

    write(tmp_path, MANY, SMALL)
    assert [record for segment in read_all(Packing(tmp_path)) for record in segment.records()] == flat(MANY)


def test_a_missing_last_segment_is_refused_behind_packs(tmp_path: Path) -> None:
    write(tmp_path, MANY, SMALL, pack=True).unlink()
    with pytest.raises(StoreDamaged, match="is missing"):
        read(tmp_path)


def test_a_segment_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    last = write(tmp_path, GROUPS)
    last.write_bytes(last.read_bytes()[:-8])
    with pytest.raises(StoreDamaged, match="at byte 4088, it had 4096 bytes"):
        read(tmp_path)


def test_a_segment_of_another_log_is_refused(tmp_path: Path) -> None:
    write(tmp_path, MANY, SMALL)
    (tmp_path / "00000003.log").write_bytes(begin("fedcba9876543210", 3, 26, SMALL, 0))
    with pytest.raises(
        StoreDamaged, match="is of log fedcba9876543210 after 26 records, not of 0123456789abcdef"
    ):
        read(tmp_path)


def test_a_segment_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    write(tmp_path, MANY, SMALL)
    (tmp_path / "00000003.log").write_bytes((tmp_path / "00000002.log").read_bytes())
    with pytest.raises(StoreDamaged, match="does not begin as segment 3"):
        read(tmp_path)


def test_a_line_that_is_no_record_is_refused(tmp_path: Path) -> None:
    from ringfence.transactions.decisions.file import FileDecisions

    write(tmp_path, [["perhaps main.1.1"]])
    with pytest.raises(StoreDamaged, match="which is no record"):
        FileDecisions(tmp_path)


def test_packs_take_little_room(tmp_path: Path) -> None:
    rng = random.Random(3)
    order = [seq for _, seq in sorted((seq + 16 * rng.random(), seq) for seq in range(1, 5001))]
    write(tmp_path, [[f"committed main.1.{seq}" for seq in order], MANY[0] * 30], size=1024)
    raw = (tmp_path / "00000002.log").stat().st_size
    with closing(Disk(tmp_path)) as disk:
        Log(disk, read_all(disk)).pack(2)
        assert [record for segment in read_all(disk) for record in segment.records()][: len(order)] == [
            f"committed main.1.{seq}" for seq in order
        ]
    assert (tmp_path / "00000002.pack").stat().st_size < raw / 5
