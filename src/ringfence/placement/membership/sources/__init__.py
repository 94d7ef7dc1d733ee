"""Sources: where a membership learns which nodes there are, one kind a file."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol, runtime_checkable

from ringfence.placement.node import Node


class Member(NamedTuple):
    """A node that a source lists.

    Attributes:
        node: with weight and zone.
        fence: the number of its registration, greater than that of any earlier one of its name; 0 for none.
        beat: changes with every renewal of its registration; 0 where nothing is renewed.
    """

    node: Node
    fence: int = 0
    beat: int = 0


class Source(Protocol):
    """What lists nodes. `wake` and `close` may be called by another thread than the others."""

    def read(self) -> list[Member]:
        """Return all nodes there are now, each name once.

        Raises:
            StoreError: they cannot be had now.
            InvalidValue: what is written there are no nodes.
        """

    def wait(self, seconds: float) -> None:
        """Return when the nodes may be others than those read last, or after `seconds`."""

    def wake(self) -> None:
        """End the wait under way, or the next one."""

    def close(self) -> None:
        """Give up connections; registrations stay as they are. Closing twice is harmless."""


class Entry(NamedTuple):
    """What a registrant writes down.

    Attributes:
        node: what it registers.
        owner: its own id, which no other registrant has.
        ttl: seconds after which it is dropped unless it is renewed.
        fence: the number that the source gave to the registration last; 0 before.
    """

    node: Node
    owner: str
    ttl: float
    fence: int = 0


class Standing(Enum):
    """What has become of a registration."""

    HELD = "held"
    LOST = "lost"
    REPLACED = "replaced"


@runtime_checkable
class Registry(Source, Protocol):
    """A source with which nodes register themselves. Every method may be called by any thread.

    A source that does not answer raises `StoreTimeout` (nothing happened) or `OutcomeUnknown`.
    """

    def enter(self, entry: Entry) -> int | None:
        """Register a node in place of whoever has its name, and return the fence.

        An entry that has a fence was lost: it does not take the name from another owner; None if there is one. Asked
        again, the owner who has the name gets the same fence or a greater one, and the whole ttl.
        """

    def renew(self, entries: Sequence[Entry]) -> list[Standing]:
        """Extend the registrations of these owners by their ttl; say of each whether it stands.

        It is `REPLACED` when another owner has the name, and `LOST` when nobody has.
        """

    def leave(self, entry: Entry) -> None:
        """Take out the registration of this owner, if it stands."""
