"""What every immutable set of nodes has in common, here and in the placements of other systems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ringfence.errors import UnknownNode


class Names:
    """A container of the names of nodes, as they are at one epoch.

    `len()` gives the number of nodes, `"a" in placement` asks for a name, and iterating gives the names.
    """

    __slots__ = ()
    _epoch: int

    if TYPE_CHECKING:  # what the classes derived have

        @property
        def nodes(self) -> tuple[str, ...]:
            """The names of the nodes."""

    def _has(self, name: str) -> bool:
        raise NotImplementedError

    @property
    def epoch(self) -> int:
        """Which version of the membership this is; each change makes it one more."""
        return self._epoch

    def _known(self, name: str) -> str:
        if name not in self:
            raise UnknownNode(name, self.nodes)
        return name

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._has(name)

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    __reversed__ = None  # or reversed() would look up the keys len(self) - 1 to 0
