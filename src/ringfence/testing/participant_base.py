"""What the parts of the conformance suite of participants share: how they get at the participant and its values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ringfence.transactions.participants import Participant

GID, OTHER, LATER = "main.1.1", "main.1.2", "main.1.3"


class ParticipantBase(ABC):
    """A participant with one value that its branches write and read, and another one if they run side by side."""

    @abstractmethod
    def open(self) -> Participant:
        """Return a new participant, without the values, whose branches do not wait long for each other."""

    @abstractmethod
    def write(self, branch: Any, value: int) -> None:
        """Write the value in a branch."""

    @abstractmethod
    def read(self, branch: Any) -> int | None:
        """Read the value in a branch; None when there is none."""

    def write_elsewhere(self, branch: Any, value: int) -> None:
        """Write another value in a branch, that does not conflict with the first; for concurrent participants."""
        raise NotImplementedError("give a concurrent participant's suite write_elsewhere and read_elsewhere")

    def read_elsewhere(self, branch: Any) -> int | None:
        """Read that other value in a branch; None when there is none."""
        raise NotImplementedError("give a concurrent participant's suite write_elsewhere and read_elsewhere")

    @abstractmethod
    def fail(self, branch: Any) -> None:
        """Let a statement fail in a branch, and swallow its error as an application might."""

    @abstractmethod
    def restart(self, participant: Participant) -> Participant:
        """Let the participant's process die, and return it started again with what it keeps."""

    def _value(self, participant: Participant) -> int | None:
        """The committed value, as a branch reads it that writes nothing."""
        return self._values(participant, "read")[0]

    def _values(self, participant: Participant, *readers: str) -> list[int | None]:
        branch = participant.begin("reader.1.1")
        found = [getattr(self, reader)(branch) for reader in readers]
        participant.rollback("reader.1.1")
        return found

    def _written(self, participant: Participant, gid: str, value: int) -> None:
        self.write(participant.begin(gid), value)

    @contextmanager
    def _opened(self, participant: Participant | None = None) -> Iterator[Any]:
        participant = participant or self.open()
        try:
            yield participant
        finally:
            participant.close()
