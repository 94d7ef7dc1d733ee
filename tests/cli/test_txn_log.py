"""`ringfence txn log`: checkpoints, proofs, and whether they hold."""

from contextlib import closing
from pathlib import Path

import pytest

from ringfence.cli import main
from ringfence.transactions import Outcome
from ringfence.transactions.decisions.file import FileDecisions

Output = pytest.CaptureFixture[str]


class Log:
    """A decision log, and the commands about it."""

    def __init__(self, folder: Path, capsys: Output) -> None:
        self.folder = folder
        self._capsys = capsys
        self.url = f"file://{folder}/decisions"
        self.decide(1, 10)

    def decide(self, first: int, last: int) -> None:
        with closing(FileDecisions(self.folder / "decisions", segment=512)) as store:
            store.begin_epoch("main")
            for seq in range(first, last + 1):
                store.put_if_absent(f"main.1.{seq}", Outcome.ABORTED)

    def write(self, name: str, *words: str) -> str:
        """Run a command, and keep what it writes in a file; return its path."""
        self.output(*words, "--decisions", self.url)
        path = self.folder / name
        path.write_text(self._out)
        return str(path)

    def output(self, *words: str) -> str:
        self._capsys.readouterr()
        assert main(["txn", "log", *words]) == 0
        self._out = self._capsys.readouterr().out
        return self._out

    def refused(self, *words: str, code: int = 1) -> str:
        self._capsys.readouterr()
        assert main(["txn", "log", *words]) == code
        return self._capsys.readouterr().err


@pytest.fixture
def log(tmp_path: Path, capsys: Output) -> Log:
    return Log(tmp_path, capsys)


def test_a_decision_is_proved_to_whoever_kept_a_checkpoint(log: Log) -> None:
    kept = log.write("kept", "checkpoint")
    log.decide(11, 60)
    proof = log.write("proof", "prove", "main.1.7", "--checkpoint", kept)
    said = log.output("verify", proof, "--checkpoint", kept)
    assert said.startswith("verified: 'aborted main.1.7' is record 8 of 11 in ringfence-decisions/")


def test_growth_is_proved_to_whoever_kept_a_checkpoint(log: Log) -> None:
    kept = log.write("kept", "checkpoint")
    log.decide(11, 60)
    growth = log.write("growth", "prove", "--since", kept)
    assert "has only grown, from 11 records to 62" in log.output("verify", growth, "--checkpoint", kept)
    assert "begin with the 11" in log.output("verify", "--checkpoint", kept, "--decisions", log.url)


def test_a_forged_proof_is_rejected(log: Log) -> None:
    kept = log.write("kept", "checkpoint")
    proof = Path(log.write("proof", "prove", "main.1.7"))
    proof.write_text(proof.read_text().replace("index 7", "index 6"))
    assert "not shown: leaf 6 in the tree of 11" in log.refused("verify", str(proof), "--checkpoint", kept)


def test_a_log_that_was_cut_is_rejected(log: Log) -> None:
    log.decide(11, 13)
    kept = log.write("kept", "checkpoint")
    last = log.folder / "decisions" / "00000001.log"
    data = last.read_bytes().rstrip(b"\0")
    last.write_bytes(data[:-20].ljust(512, b"\0"))
    assert "it has only" in log.refused("verify", "--checkpoint", kept, "--decisions", log.url)


def test_nothing_is_proved_to_whoever_kept_a_checkpoint_of_another_log(log: Log) -> None:
    kept = Path(log.write("kept", "checkpoint"))
    kept.write_text(kept.read_text().replace("\n11\n", "\n10\n"))
    for words in (["prove", "--since", str(kept)], ["prove", "main.1.7", "--checkpoint", str(kept)]):
        assert "its tree has another root" in log.refused(*words, "--decisions", log.url)


def test_checkpoints_are_signed(log: Log) -> None:
    secret = log.folder / "secret"
    public = log.output("key", "audit.example", str(secret)).strip()
    assert secret.stat().st_mode & 0o777 == 0o600
    kept = log.write("kept", "checkpoint", "--key", str(secret))
    assert "— audit.example " in Path(kept).read_text()
    proof = log.write("proof", "prove", "main.1.3", "--key", str(secret))
    assert "record 4 of 11" in log.output("verify", proof, "--public", public)
    growth = log.write("growth", "prove", "--since", kept, "--key", str(secret))
    assert "has only grown" in log.output("verify", growth, "--checkpoint", kept, "--public", public)
    other = log.output("key", "audit.example", str(log.folder / "other")).strip()
    assert "no good signature" in log.refused("verify", proof, "--public", other)


def test_a_key_is_not_ignored_when_there_is_a_checkpoint_too(log: Log) -> None:
    secret = str(log.folder / "secret")
    public = log.output("key", "audit.example", secret).strip()
    kept = log.write("kept", "checkpoint")
    proof = log.write("proof", "prove", "main.1.3")
    both = ["--checkpoint", kept, "--public", public]
    assert "signature" in log.refused("verify", proof, *both)
    assert "signature" in log.refused("verify", *both, "--decisions", log.url)
    signed = log.write("signed", "checkpoint", "--key", secret)
    assert "11 of the checkpoint" in log.output(
        "verify", "--checkpoint", signed, "--public", public, "--decisions", log.url
    )
    proof = log.write("proof", "prove", "main.1.3", "--key", secret)
    assert "record 4 of 11" in log.output("verify", proof, *both)
    log.decide(11, 12)
    proof = log.write("proof", "prove", "main.1.3", "--key", secret)
    assert "not the one that was kept" in log.refused("verify", proof, *both)


def test_a_secret_key_is_never_overwritten(log: Log) -> None:
    secret = log.folder / "secret"
    log.output("key", "audit.example", str(secret))
    before = secret.read_text()
    assert "cannot be made" in log.refused("key", "audit.example", str(secret), code=2)
    assert secret.read_text() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prove", "main.1.77", "--decisions", "{url}"], "nothing was decided on 'main.1.77'"),
        (["checkpoint", "--decisions", "sqlite:///d.db"], "only a decision log does"),
        (["checkpoint", "--decisions", "file:///nowhere/at/all"], "cannot be read"),
        (["verify", "{proof}"], "say what to trust"),
        (["verify", "{growth}"], "say which older --checkpoint you have kept"),
        (["verify", "--decisions", "{url}"], "say what to verify"),
        (["verify", "/nowhere/proof", "--public", "x"], "cannot be read"),
        (["verify", "{proof}", "--public", "x"], "is no Ed25519 key"),
        (
            ["prove", "main.1.1", "--checkpoint", "{kept}", "--key", "x", "--decisions", "{url}"],
            "leave out --key",
        ),
        (["checkpoint", "--key", "{kept}", "--decisions", "{url}"], "a secret key begins with"),
    ],
)
def test_bad_requests_are_refused(log: Log, words: list[str], said: str) -> None:
    kept = log.write("kept", "checkpoint")
    names = {
        "url": log.url,
        "kept": kept,
        "proof": log.write("proof", "prove", "main.1.1"),
        "growth": log.write("growth", "prove", "--since", kept),
    }
    assert said in log.refused(*(word.format(**names) for word in words), code=2)
