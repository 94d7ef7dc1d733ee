"""What a branch has read and wants to write, and its commands as protocols that both faces run."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ringfence.errors import Aborted, InDoubt, InvalidValue, StoreError
from ringfence.protocol import Call, Effects, Now, Sleep
from ringfence.transactions.participants.redis import scripts
from ringfence.transactions.participants.redis.keys import Keys, Word, encoded

T = TypeVar("T")

Command = tuple[bytes, ...]

_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")


@dataclass(slots=True)
class Site:
    """What a participant and its branches share.

    Attributes:
        server: runs scripts.
        keys: of the participant.
        timeout: seconds to wait for another branch, or for a key that prepared work holds.
        lease: milliseconds after which the open branch of a client that died is over; 0 where branches are side by
            side.
    """

    server: Any
    keys: Keys
    timeout: float
    lease: int

    def run(self, script: scripts.Script, gid: str, *words: Any, marks: Sequence[str] = ()) -> Call:
        """Return the request to run a script for a transaction."""
        return Call(self.server, "evaluate", (script, [*self.keys.of(gid), *marks], [gid, *words]))


@dataclass(slots=True)
class Work:
    """The branch of a transaction: what it has read, and what it wants to write.

    Attributes:
        gid: the transaction.
        site: of its participant.
        reads: what each command that reads has answered.
        commands: those that write, in their order.
        marks: resource -> fence, to be compared when it is prepared.
        failed: what makes it vote against committing.
        over: it has ended, or is being ended.
        process: where it was begun.
    """

    gid: str
    site: Site
    reads: dict[Command, bytes | None] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    failed: BaseException | None = None
    over: bool = False
    process: int = field(default_factory=os.getpid)
    _written: dict[bytes, bytes | dict[bytes, bytes | None] | None] = field(default_factory=dict)
    _cleared: set[bytes] = field(default_factory=set)

    @property
    def wrote(self) -> bool:
        """Has it tried to change anything? When a command failed, nobody knows what it would have done."""
        return bool(self.commands) or self.failed is not None

    def get(self, key: Word) -> Effects[bytes | None]:
        """The value of a key, None if there is none."""
        return (yield from self.guarded(self._get(key)))

    def hget(self, key: Word, name: Word) -> Effects[bytes | None]:
        """A field of a hash, None if there is none."""
        return (yield from self.guarded(self._hget(key, name)))

    def incrby(self, key: Word, amount: int) -> Effects[int]:
        """Add to the number in a key, 0 if there is none, and return the sum."""
        return (yield from self.guarded(self._incrby(key, amount)))

    def set(self, key: Word, value: Word) -> Effects[None]:
        """Give a key a value."""
        yield from self.guarded(self._set(key, value))

    def delete(self, key: Word) -> Effects[None]:
        """Remove a key, whatever it is."""
        yield from self.guarded(self._delete(key))

    def hset(self, key: Word, name: Word, value: Word) -> Effects[None]:
        """Give a field of a hash a value."""
        yield from self.guarded(self._hset(key, name, value))

    def hdel(self, key: Word, name: Word) -> Effects[None]:
        """Remove a field of a hash."""
        yield from self.guarded(self._hset(key, name, None))

    def refuse_failed(self) -> None:
        """Vote against a branch in which a command failed.

        Raises:
            Aborted: one did, whether or not the application caught the error.
        """
        if self.failed is not None:
            raise Aborted(self.gid, f"a command failed: {self.failed}") from self.failed

    def words(self) -> list[Any]:
        """What the scripts that look at a branch are given, from "one at a time" to the commands."""
        found: list[Any] = [int(self.site.lease > 0), *self.marks.values(), len(self.reads)]
        for command, value in self.reads.items():
            found += [int(value is not None), value or b"", len(command), *command]
        found.append(len(self.commands))
        for command in self.commands:
            found += [len(command), *command]
        return found

    def guarded(self, steps: Effects[T]) -> Effects[T]:
        """Do something unless the branch has failed or is over; when it fails, so has the branch."""
        self._refuse_over()
        self.refuse_failed()
        try:
            return (yield from steps)
        except BaseException as error:
            self.failed = error
            raise

    def _refuse_over(self) -> None:
        if self.process != os.getpid():
            raise Aborted(self.gid, "its process was forked; only the parent can go on with it")
        if self.over:
            raise InvalidValue(f"the branch of {self.gid} is over; start a new transaction")

    def _get(self, key: Word) -> Effects[bytes | None]:
        word = self.site.keys.checked(key)
        if word in self._written:
            written = self._written[word]
            if isinstance(written, dict):
                raise StoreError(f"{key!r} is a hash")
            return written
        found: bytes | None = yield from self.read(b"GET", word)
        return found

    def _hget(self, key: Word, name: Word) -> Effects[bytes | None]:
        word, item = self.site.keys.checked(key), encoded(name)
        fields = self._fields(word)
        if item in fields or word in self._cleared:
            return fields.get(item)
        found: bytes | None = yield from self.read(b"HGET", word, item)
        return found

    def _incrby(self, key: Word, amount: int) -> Effects[int]:
        found = yield from self._get(key)
        total = _integer(key, found) + _integer(key, encoded(amount))
        _integer(key, b"%d" % total)
        yield from self._set(key, total)
        return total

    def _set(self, key: Word, value: Word) -> Effects[None]:
        word, kept = self.site.keys.checked(key), encoded(value)
        self._written[word] = kept
        self.write(b"SET", word, kept)
        yield from ()

    def _delete(self, key: Word) -> Effects[None]:
        word = self.site.keys.checked(key)
        self._written[word] = None
        self._cleared.add(word)
        self.write(b"DEL", word)
        yield from ()

    def _hset(self, key: Word, name: Word, value: Word | None) -> Effects[None]:
        word, item = self.site.keys.checked(key), encoded(name)
        kept = None if value is None else encoded(value)
        fields = self._fields(word)
        self._written[word] = fields
        fields[item] = kept
        self.write(*((b"HDEL", word, item) if kept is None else (b"HSET", word, item, kept)))
        yield from ()

    def write(self, *command: bytes) -> None:
        """Note a command that writes; its second word is a key."""
        self.commands.append(command)

    def read(self, *command: bytes) -> Effects[Any]:
        """Ask the server, once, and note what it answered; wait while prepared work holds the key."""
        if command not in self.reads:
            self.reads[command] = yield from self.ask(*command)
        return self.reads[command]

    def ask(self, *command: bytes) -> Effects[Any]:
        """Ask the server, and wait while prepared work holds the key.

        Raises:
            InDoubt: it still does; names the transaction.
            Aborted: the branch is over for the server.
        """
        until = (yield Now()) + self.site.timeout
        for pause in pauses():
            kind, *found = yield self.site.run(scripts.READ, self.gid, self.site.lease, *command)
            if kind == b"found":
                return found[0]
            if kind == b"lost":
                raise lost(self.gid)
            if (yield Now()) >= until:
                raise InDoubt(found[0].decode(), f"its prepared work holds the key {command[1]!r}")
            yield Sleep(pause)

    def _fields(self, word: bytes) -> dict[bytes, bytes | None]:
        written = self._written.get(word)
        if isinstance(written, bytes):
            raise StoreError(f"{word!r} is no hash")
        return written or {}


def lost(gid: str) -> Aborted:
    """The error for a branch that is open here and over for the server."""
    return Aborted(gid, "it paused for too long, and others have gone on", retryable=True)


def pauses() -> Iterator[float]:
    """Seconds to wait between tries: from a millisecond up to ten, less up to a half."""
    longest = 0.001
    while True:
        yield longest * random.uniform(0.5, 1.0)
        longest = min(2 * longest, 0.01)


def _integer(key: Word, value: bytes | None) -> int:
    """The integer that Redis sees in a value; none is 0."""
    if value is not None and not _INTEGER.fullmatch(value):
        raise StoreError(f"{key!r} holds no integer")
    number = int(value or b"0")
    if not -(2**63) <= number < 2**63:
        raise StoreError(f"{key!r} would hold {number}, which is beyond 64 bits")
    return number
