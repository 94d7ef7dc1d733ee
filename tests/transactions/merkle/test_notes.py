"""Checkpoints and signed notes: the formats of C2SP, with the example of Go's note package."""

import base64

import pytest

from ringfence.errors import InvalidValue, ProofRejected
from ringfence.transactions.merkle import Checkpoint, MerkleTree
from ringfence.transactions.merkle.note import Signer, Verifier

# From the documentation of golang.org/x/mod/sumdb/note (BSD-3-Clause); its keys are made public there.
SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
SIGNED = f"{TEXT}\n— PeterNeumann {SIGNATURE}\n"


def test_a_note_is_signed_as_go_does() -> None:
    assert Signer.parse(SECRET).sign(TEXT) == SIGNED


def test_a_note_is_opened_as_go_does() -> None:
    assert Verifier.parse(PUBLIC).open(SIGNED) == TEXT


def test_keys_are_written_as_they_are_read() -> None:
    assert str(Signer.parse(SECRET)) == SECRET
    assert str(Verifier.parse(PUBLIC)) == PUBLIC == str(Signer.parse(SECRET).verifier())


def test_a_secret_key_is_not_shown_by_accident() -> None:
    assert repr(Signer.parse(SECRET)) == "<Signer 'PeterNeumann'>"
    with pytest.raises(InvalidValue) as caught:
        Signer.parse(SECRET.replace("c74f20a3", "c74f20a4"))
    assert "AYEKFALV" not in str(caught.value)


@pytest.mark.parametrize(
    "note",
    [
        TEXT,
        f"{TEXT}\n",
        SIGNED.replace("cryptography", "Cryptography"),
        SIGNED.replace("— PeterNeumann", "— SomeoneElse"),
        SIGNED.replace("x08go", "x18go"),
        SIGNED.replace("JnAM=", "JnBM="),
        SIGNED.replace("—", "-"),
        SIGNED.replace("x08go/", "!"),
    ],
)
def test_a_note_of_another_is_not_opened(note: str) -> None:
    with pytest.raises(ProofRejected, match="no good signature"):
        Verifier.parse(PUBLIC).open(note)


def test_a_note_may_have_other_signatures_too() -> None:
    other = Signer.generate("witness")
    both = SIGNED + other.sign(TEXT).removeprefix(f"{TEXT}\n")
    assert other.verifier().open(both) == Verifier.parse(PUBLIC).open(both) == TEXT


@pytest.mark.parametrize(
    "key", ["", "a+b", "a+c74f20a3+AAAA", PUBLIC.replace("ARpc", "Arpc"), "a b" + PUBLIC[12:]]
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidValue, match="Ed25519 key"):
        Verifier.parse(key)


def test_a_key_under_another_name_is_refused() -> None:
    with pytest.raises(InvalidValue, match="names the id c74f20a3, but the key has"):
        Verifier.parse(PUBLIC.replace("PeterNeumann", "EveNeumann"))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_a_signer_has_a_name_that_can_be_written(name: str) -> None:
    with pytest.raises(InvalidValue, match="signer's name"):
        Signer.generate(name)


def test_the_text_of_a_note_ends_with_a_new_line() -> None:
    with pytest.raises(InvalidValue, match="ends with a new line"):
        Signer.generate("a").sign("text")


def test_a_checkpoint_is_three_lines() -> None:
    tree = MerkleTree()
    tree.append(b"a")
    checkpoint = Checkpoint("example.com/decisions", len(tree), tree.root())
    text = checkpoint.text()
    assert text == f"example.com/decisions\n1\n{base64.b64encode(tree.root()).decode()}\n"
    assert Checkpoint.parse(text) == checkpoint
    assert Checkpoint.parse(f"{text}an extension\n") == checkpoint


@pytest.mark.parametrize(
    "text", ["", "a\n1\n", "\n1\nAAAA\n", "a\n-1\nAAAA\n", "a\n01\nAAAA\n", "a\n1\n????\n", "a\n1\nAAAA\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is no checkpoint"):
        Checkpoint.parse(text)


@pytest.mark.parametrize("origin", ["", "a\nb"])
def test_the_name_of_a_log_is_one_line(origin: str) -> None:
    with pytest.raises(InvalidValue, match="one line"):
        Checkpoint(origin, 0, bytes(32)).text()
