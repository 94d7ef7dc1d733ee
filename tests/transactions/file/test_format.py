"""The format of a decision log, byte by byte; docs/decision-log.md describes it."""

import re
import zlib
from contextlib import closing
from pathlib import Path

from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.frame import scan
from ringfence.transactions.decisions.file.log import Log

IDENTITY = "0123456789abcdef"
DOCS = Path(__file__).parents[3] / "docs" / "decision-log.md"

SEGMENT = (
    b"\x45\x00\x00\x00" b"\xba\x7a\x98\x9e"
    b"ringfence-decisions 1 log 0123456789abcdef segment 1 after 0 size 512" b"\0\0\0"
    b"\x0c\x00\x00\x00" b"\xec\x34\x95\xcf"
    b"epoch main 1" b"\0\0\0\0"
    b"\x25\x00\x00\x00" b"\x83\x02\x74\x63"
    b"committed main.1.1\n" b"committed main.1.2"
)  # fmt: skip

PACKED = """ringfence-decisions 1 log 0123456789abcdef pack 1 after 0 count 12
nodes {nodes}
span main 1 1 10
epoch main 1
heuristic main.1.2 ["east", "rolled back by hand"]"""

FOLDED = """epoch main 1
committed main.1.1-2
aborted main.1.4
committed main.1.3
committed main.1.5-10
heuristic main.1.2 ["east", "rolled back by hand"]"""


def unfolded() -> list[str]:
    decided = [f"committed main.1.{seq}" for seq in (1, 2)]
    decided += ["aborted main.1.4", "committed main.1.3"]
    decided += [f"committed main.1.{seq}" for seq in range(5, 11)]
    return ["epoch main 1", *decided, 'heuristic main.1.2 ["east", "rolled back by hand"]']


def test_a_segment_is_frames(tmp_path: Path) -> None:
    with closing(Disk(tmp_path)) as disk:
        log = Log(disk, [], 512, IDENTITY)
        log.append(["epoch main 1"])
        log.append(["committed main.1.1", "committed main.1.2"])
    data = (tmp_path / "00000001.log").read_bytes()
    assert data.rstrip(b"\0") == SEGMENT
    assert len(data) == 512


def test_a_pack_is_two_frames(tmp_path: Path) -> None:
    with closing(Disk(tmp_path)) as disk:
        log = Log(disk, [], 512, IDENTITY)
        log.append(unfolded())
        log.append(["epoch main 2"] * 20)
        log.pack(1)
    (head, body), end = scan((tmp_path / "00000001.pack").read_bytes())
    nodes = head.decode().split("\n")[1].removeprefix("nodes ")
    assert head.decode() == PACKED.format(nodes=nodes)
    assert zlib.decompress(body).decode() == FOLDED
    assert end == (tmp_path / "00000001.pack").stat().st_size


def test_the_documented_bytes_are_these() -> None:
    dump = re.search(r"```text\n(00000000 .*?)\n```", DOCS.read_text(encoding="utf-8"), re.S)
    assert dump is not None
    documented = bytes.fromhex("".join(line[10:59] for line in dump[1].splitlines()))
    assert documented == SEGMENT
