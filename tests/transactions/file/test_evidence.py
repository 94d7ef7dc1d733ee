"""What a decision log proves, while it grows and is packed, and what a rewritten one cannot."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ringfence.errors import InvalidValue, ProofRejected, StoreError
from ringfence.transactions import Outcome
from ringfence.transactions.decisions.file import DecisionLog, FileDecisions, pack
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.frame import frame, scan
from ringfence.transactions.decisions.file.log import Log
from ringfence.transactions.merkle import Checkpoint, ConsistencyProof, InclusionProof, MerkleTree
from tests.transactions.file.test_damage import IDENTITY, SMALL, write

COMMITTED, ABORTED = Outcome.COMMITTED, Outcome.ABORTED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "decisions"


@pytest.fixture
def store(folder: Path) -> Iterator[FileDecisions]:
    with closing(FileDecisions(folder, segment=SMALL)) as opened:
        opened.begin_epoch("main")
        yield opened


def decide(store: FileDecisions, first: int, last: int) -> None:
    for seq in range(first, last + 1):
        store.put_if_absent(f"main.1.{seq}", ABORTED if seq % 7 == 0 else COMMITTED)


def test_the_tree_is_over_all_records(folder: Path, store: FileDecisions) -> None:
    decide(store, 1, 60)
    store.report("main.1.3", "east", "rolled back by hand")
    store.forget("main.1.3")
    log = DecisionLog(folder)
    tree = MerkleTree()
    for record in log.records():
        tree.append(record.encode())
    assert list(log.records())[:2] == ["epoch main 1", "committed main.1.1"]
    assert list(log.records())[-2:] == [
        'heuristic main.1.3 ["east", "rolled back by hand"]',
        "forgotten main.1.3",
    ]
    assert len(list(folder.glob("*.pack"))) >= 4
    assert [log.tree.root(size) for size in range(len(tree) + 1)] == [
        tree.root(n) for n in range(len(tree) + 1)
    ]
    for size in range(1, len(tree) + 1):
        assert log.tree.consistency(size) == tree.consistency(size)
        assert log.tree.inclusion(size - 1) == tree.inclusion(size - 1)


def test_every_decision_is_proved_to_whoever_has_a_checkpoint(folder: Path, store: FileDecisions) -> None:
    decide(store, 1, 40)
    log = DecisionLog(folder)
    checkpoint = log.checkpoint()
    for seq in range(1, 41):
        proof = InclusionProof.parse(log.prove(f"main.1.{seq}").text())
        proof.check(checkpoint)
        assert proof.leaf.decode() == f"{store.get(f'main.1.{seq}')} main.1.{seq}"
        assert Checkpoint.parse(proof.note) == checkpoint


def test_an_old_checkpoint_stays_provable_when_its_records_are_packed(
    folder: Path, store: FileDecisions
) -> None:
    olds = []
    for start in range(1, 60, 6):
        decide(store, start, start + 5)
        olds.append(DecisionLog(folder).checkpoint())
    log = DecisionLog(folder)
    for number, old in enumerate(olds):
        for new in olds[number:]:
            ConsistencyProof.parse(log.prove_growth(old, new.text()).text()).check(old, new)
        log.prove("main.1.2", old.text()).check(old)
        log.check(old)


def test_it_is_read_in_another_process_while_it_grows(folder: Path, store: FileDecisions) -> None:
    decide(store, 1, 5)
    old = DecisionLog(folder).checkpoint()
    decide(store, 6, 50)
    log = DecisionLog(folder)
    log.prove_growth(old).check(old, log.checkpoint())


def rewritten(folder: Path, change: int) -> DecisionLog:
    """A log like another, of which somebody has changed one record, with all its checksums right."""
    records = [[f"{'aborted' if seq == change else 'committed'} main.1.{seq}"] for seq in range(1, 46)]
    write(folder, records, SMALL, pack=change % 2 == 0)
    return DecisionLog(folder)


@pytest.mark.parametrize("change", [1, 14, 29, 44])
def test_a_log_that_was_rewritten_is_found_out(tmp_path: Path, change: int) -> None:
    honest, forged = rewritten(tmp_path / "honest", 0), rewritten(tmp_path / "forged", change)
    kept = honest.checkpoint()
    with pytest.raises(ProofRejected, match="another root"):
        forged.check(kept)
    with pytest.raises(ProofRejected):
        forged.prove("main.1.7").check(kept)
    with pytest.raises(ProofRejected, match="it leads to other roots"):
        forged.prove_growth(forged.checkpoint(44)).check(honest.checkpoint(44), forged.checkpoint())
    with pytest.raises(ProofRejected, match="its tree has another root"):
        forged.prove_growth(kept)
    with pytest.raises(ProofRejected, match="its tree has another root"):
        forged.prove("main.1.7", kept.text())
    honest.check(kept)


def test_a_log_that_was_cut_is_found_out(tmp_path: Path) -> None:
    write(tmp_path / "whole", [[f"committed main.1.{seq}"] for seq in range(1, 9)])
    write(tmp_path / "cut", [[f"committed main.1.{seq}"] for seq in range(1, 8)])
    kept = DecisionLog(tmp_path / "whole").checkpoint()
    with pytest.raises(ProofRejected, match="it has only 7"):
        DecisionLog(tmp_path / "cut").check(kept)


def forge(path: Path, head: bytes, body: bytes) -> None:
    """Make a pack of the first frame of one and the second of another."""
    parts = []
    for number, data in enumerate((head, body)):
        end = 8 + int.from_bytes(data[:4], "little")
        end += -end % 8
        parts.append(data[end:] if number else data[:end])
    path.write_bytes(b"".join(parts))


@pytest.mark.parametrize("forged", ["a record", "a record too many", "no span"])
def test_a_pack_that_does_not_say_what_its_records_are_is_found_out(tmp_path: Path, forged: str) -> None:
    groups = [[f"committed main.1.{seq}"] for seq in range(1, 46)]
    write(tmp_path, groups, SMALL, pack=True)
    kept = DecisionLog(tmp_path).checkpoint()
    path = tmp_path / "00000001.pack"
    honest, first = path.read_bytes(), pack.read_pack(Disk(tmp_path), 1)
    records = first.records()
    if forged == "a record":
        forge(path, honest, pack.encode(IDENTITY, 1, 0, ["aborted main.1.1", *records[1:]]))
    elif forged == "a record too many":
        forge(path, honest, pack.encode(IDENTITY, 1, 0, [*records, "aborted main.1.777"]))
    else:
        lines = scan(honest)[0][0].split(b"\n")
        forge(path, frame(b"\n".join(line for line in lines if not line.startswith(b"span "))), honest)
    with pytest.raises(ProofRejected, match="its records are not those of its tree"):
        DecisionLog(tmp_path).check(kept)


def test_a_log_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(FileDecisions("decisions", segment=SMALL)) as store:
        store.begin_epoch("main")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        decide(store, 1, 60)
    assert list(tmp_path.glob("elsewhere/*")) == []
    assert DecisionLog(tmp_path / "decisions").get("main.1.60") is COMMITTED


def test_checkpoints_of_another_log_prove_nothing(tmp_path: Path) -> None:
    for identity in ("0" * 16, "1" * 16):
        with closing(Disk(tmp_path / identity)) as disk:
            (tmp_path / identity).mkdir()
            Log(disk, [], SMALL, identity).append(["epoch main 1"])
    zeros, ones = (DecisionLog(tmp_path / identity).checkpoint() for identity in ("0" * 16, "1" * 16))
    assert zeros.root == ones.root
    with pytest.raises(ProofRejected, match="of another log"):
        ConsistencyProof(1, [], ones.text()).check(zeros, ones)
    with pytest.raises(ProofRejected, match="that is another log"):
        DecisionLog(tmp_path / ("1" * 16)).check(zeros)


def test_what_is_not_decided_is_not_proved(folder: Path, store: FileDecisions) -> None:
    decide(store, 1, 3)
    log = DecisionLog(folder)
    early = log.checkpoint(2)
    with pytest.raises(InvalidValue, match=r"nothing was decided on 'main\.1\.4'"):
        log.prove("main.1.4")
    with pytest.raises(InvalidValue, match="no leaf 3 in a tree of 2"):
        log.prove("main.1.3", early.text())


def test_there_must_be_a_log(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StoreError, match=r"there is no decision log in|cannot be read"):
            DecisionLog(folder)


@pytest.mark.parametrize("seed", range(3))
def test_any_damaged_proof_is_rejected(folder: Path, store: FileDecisions, seed: int) -> None:
    rng = random.Random(seed)
    decide(store, 1, 30)
    log = DecisionLog(folder)
    checkpoint = log.checkpoint()
    text = log.prove("main.1.17").text()
    end = text.index("\n\n")
    for _ in range(200):
        place = rng.randrange(end)
        damaged = text[:place] + rng.choice("AZaz09+/ \n") + text[place + 1 :]
        if damaged != text and not harmless(text, damaged):
            with pytest.raises((ProofRejected, InvalidValue)):
                InclusionProof.parse(damaged).check(checkpoint)


def harmless(text: str, damaged: str) -> bool:
    """Base64 of 32 bytes has two bits that say nothing."""
    try:
        return InclusionProof.parse(damaged) == InclusionProof.parse(text)
    except InvalidValue:
        return False
