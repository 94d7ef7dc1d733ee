"""Signed notes: a text, and below it a line for each who signed it with Ed25519.

The format is C2SP's `signed-note`. A key is written as in Go's `sumdb/note` package: `name+id+key`, and
`PRIVATE+KEY+name+id+key`, where the id is the first four bytes of a hash over name and public key.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, Self

from ringfence.errors import BackendUnavailable, InvalidValue, ProofRejected

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_SECRET = "PRIVATE+KEY+"


class Verifier(NamedTuple):
    """Who signs, and with which public key."""

    name: str
    public: Ed25519PublicKey

    @classmethod
    def parse(cls, key: str) -> Self:
        """Read `name+id+key`.

        Raises:
            BackendUnavailable: `cryptography` is not installed.
            InvalidValue: it is no such key, or the id is another's.
        """
        name, ident, raw = _parts(key, key)
        verifier = cls(name, _ed25519().Ed25519PublicKey.from_public_bytes(raw))
        if ident != verifier.id().hex():
            raise InvalidValue(f"{key!r} names the id {ident}, but the key has {verifier.id().hex()}")
        return verifier

    def id(self) -> bytes:
        """Return the four bytes that tell this key from others of that name."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public.public_bytes_raw()).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id().hex()}+{_base64(_ED25519 + self.public.public_bytes_raw())}"

    def open(self, note: str) -> str:
        """Return the text of a note that this key has signed.

        Raises:
            ProofRejected: it has not.
        """
        from cryptography.exceptions import InvalidSignature

        text, _, signatures = note.rpartition("\n\n")
        for line in signatures.split("\n"):
            signature = self._signature(line)
            if signature is None:
                continue
            try:
                self.public.verify(signature, f"{text}\n".encode())
            except InvalidSignature:
                break
            return f"{text}\n"
        raise ProofRejected(f"a note signed by {self.name}", "it has no good signature of this key")

    def _signature(self, line: str) -> bytes | None:
        """Return the signature on a line, if it is said to be of this key."""
        dash, _, rest = line.partition(" ")
        name, _, raw = rest.partition(" ")
        if dash != "—" or name != self.name:
            return None
        try:
            signed = base64.b64decode(raw, validate=True)
        except (binascii.Error, ValueError):
            return None
        return signed[4:] if signed[:4] == self.id() else None


class Signer(NamedTuple):
    """Who signs, and with which secret key."""

    name: str
    secret: Ed25519PrivateKey

    @classmethod
    def generate(cls, name: str) -> Self:
        """Make a new key.

        Raises:
            BackendUnavailable: `cryptography` is not installed.
            InvalidValue: the name is empty, or has a space, a plus sign or what cannot be printed.
        """
        if not _is_name(name):
            raise InvalidValue(f"a signer's name is printable, with no space and no '+', not {name!r}")
        return cls(name, _ed25519().Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, key: str) -> Self:
        """Read `PRIVATE+KEY+name+id+key`.

        Raises:
            BackendUnavailable: `cryptography` is not installed.
            InvalidValue: it is no such key, or the id is another's.
        """
        hidden = f"{_SECRET}…"  # a secret is not repeated in a message
        if not key.startswith(_SECRET):
            raise InvalidValue(f"a secret key begins with {_SECRET}")
        name, ident, raw = _parts(key.removeprefix(_SECRET), hidden)
        signer = cls(name, _ed25519().Ed25519PrivateKey.from_private_bytes(raw))
        if ident != signer.verifier().id().hex():
            raise InvalidValue(f"{hidden} names the id {ident}, but the key has another")
        return signer

    def verifier(self) -> Verifier:
        """Return what others need to check its signatures."""
        return Verifier(self.name, self.secret.public_key())

    def sign(self, text: str) -> str:
        """Return the note of a text that ends with a new line.

        Raises:
            InvalidValue: it does not.
        """
        if not text.endswith("\n"):
            raise InvalidValue(f"the text of a note ends with a new line, not {text[-10:]!r}")
        signature = self.verifier().id() + self.secret.sign(text.encode())
        return f"{text}\n— {self.name} {_base64(signature)}\n"

    def __repr__(self) -> str:
        return f"<Signer {self.name!r}>"

    def __str__(self) -> str:
        key = _base64(_ED25519 + self.secret.private_bytes_raw())
        return f"{_SECRET}{self.name}+{self.verifier().id().hex()}+{key}"


def _parts(key: str, shown: str) -> tuple[str, str, bytes]:
    """Split a key into name, id and 32 bytes."""
    name, _, rest = key.partition("+")
    ident, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not _is_name(name) or raw[:1] != _ED25519 or len(raw) != 33:
        raise InvalidValue(f"{shown!r} is no Ed25519 key; it looks like name+c74f20a3+ARpc2QcUPDhM…")
    return name, ident, raw[1:]


def _is_name(name: str) -> bool:
    return name.isprintable() and bool(name) and "+" not in name and " " not in name


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _ed25519() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise BackendUnavailable("signing needs cryptography; install ringfence[signing]") from error
    return ed25519
