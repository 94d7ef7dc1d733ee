"""What all placements have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ringfence._core import batches
from ringfence._core.arrow import Keys
from ringfence._core.hashing import KEY, key_hash_many
from ringfence.errors import InvalidValue, UnknownNode
from ringfence.placement.arguments import integer, one_node
from ringfence.placement.key_diff import KeyDiff
from ringfence.placement.names import Names
from ringfence.placement.node import Node
from ringfence.placement.protocol import Placement
from ringfence.placement.zones import spread

if TYPE_CHECKING:
    from ringfence._core._kernel_hash import Kind


class Snapshot(Names):
    """Base of the placements: an immutable snapshot of nodes, an epoch and some options.

    The compiled class that a placement derives from besides does the look-ups. `len()` gives the number of nodes,
    `"a" in placement` asks for a name, and iterating gives the names. Two placements of one class are equal when their
    nodes and options are, whatever their epochs.
    """

    if not TYPE_CHECKING:  # what is assigned here are slots of the classes derived
        __slots__ = ()
    _members: tuple[Node, ...]
    _positions: dict[str, int]

    @property
    def kind(self) -> Kind:
        """How keys are hashed, as `key_hash` takes it."""
        return KEY

    if TYPE_CHECKING:  # what the compiled classes have

        @property
        def nodes(self) -> tuple[str, ...]:
            """The names of the nodes."""

        def __getitem__(self, key: str | bytes | int) -> str:
            """Return the name of the node that owns `key`."""

        def lookup(self, key: str | bytes | int, /) -> str:
            """Return the name of the node that owns `key`."""

        def ranked(self, key: str | bytes | int, n: int) -> tuple[str, ...]:
            """Return the `n` nodes that come first for `key`."""

        def search(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
            """Return the owners of hashes, as indices into `nodes`."""

        def rows(self, hashes: NDArray[np.uint64], n: int) -> NDArray[np.uint32]:
            """Return the `n` nodes that come first for each hash, one row each."""

    def _describe(self, members: tuple[Node, ...], epoch: int) -> None:
        self._members = members
        self._positions = {node.name: position for position, node in enumerate(members)}
        self._epoch = integer("epoch", epoch, 0, (1 << 63) - 1)

    def _options(self) -> dict[str, Any]:
        """Return the arguments of the constructor besides nodes and epoch."""
        return {}

    def node(self, name: str) -> Node:
        """Return a node with its weight and zone.

        Raises:
            UnknownNode: there is no node of that name.
        """
        return self._members[self._position(name)]

    def lookup_many(self, keys: Keys, *, threads: int = 1, null: str | None = None) -> NDArray[np.uint32]:
        """Return the owners of a batch of keys, as uint32 indices into `nodes`.

        Args:
            keys: any iterable of keys; or a one-dimensional NumPy array of integers, `S`, `U` (trailing NULs do not
                count) or `StringDType`, or Arrow data of integers, text or bytes, chunked, sliced or dictionary-encoded
                (all that has `__arrow_c_array__` or `__arrow_c_stream__`, as columns of pyarrow, polars and pandas do).
                These two are read where they lie, without the GIL. Arrow text is taken to be UTF-8 without a check.
            threads: over how many threads at most to split a large batch.
            null: the name of the node that owns the rows that are null; without it a null is refused.

        Raises:
            EmptyRing: there is no node.
            InvalidType: a key is neither str, bytes nor int.
            InvalidValue: an int is not in 0 <= key < 2**64, a str has lone surrogates, a row is null, Arrow data are
                malformed, or `threads` is less than 1.
            UnknownNode: there is no node named `null`.
        """
        if null is None and threads == 1:
            return self.search(key_hash_many(keys, 1, self.kind))
        return batches.owners(self, keys, threads, null)

    def replicas(self, key: str | bytes | int, n: int, distinct: str | None = None) -> tuple[str, ...]:
        """Return `n` distinct nodes for `key` in order of preference, the owner first; all when there are fewer.

        Args:
            key: what `lookup` takes.
            n: how many; at least 1.
            distinct: "zone" for nodes of as many zones as there are; a zone repeats only when there are fewer than
                `n`. A node without a zone is one of its own.

        Raises:
            EmptyRing: there is no node.
            InvalidType: a key of another type, or `n` is no int.
            InvalidValue: `n` is less than 1, a key out of range, or `distinct` is neither "zone" nor None.
        """
        return self.ranked(key, n) if distinct is None else spread(self, key, n, distinct)

    def replicas_many(
        self, keys: Keys, n: int, *, threads: int = 1, null: str | None = None
    ) -> NDArray[np.uint32]:
        """Return `replicas(key, n)` of each key of a batch, as a row of uint32 indices into `nodes`.

        Args:
            keys: what `lookup_many` takes.
            n: how many for each key; the rows have all nodes when there are fewer.
            threads: over how many threads at most to split a large batch.
            null: the name of the node that comes first in the rows that are null, and after it those that follow it in
                `nodes`, round its end; without it a null is refused.

        Raises:
            EmptyRing: there is no node.
            InvalidType: a key of another type, or `n` is no int.
            InvalidValue: what `lookup_many` raises it for, or `n` is less than 1.
            UnknownNode: there is no node named `null`.
        """
        if null is None and threads == 1:
            return self.rows(key_hash_many(keys, 1, self.kind), n)
        return batches.rows(self, keys, n, threads, null)

    def with_node(self, node: str | Node) -> Self:
        """Return a placement with one node more and `epoch + 1`.

        Raises:
            InvalidValue: there is a node of that name already.
            InvalidType: `node` is neither a name nor a `Node`.
        """
        member = one_node(node)
        if member.name in self:
            raise InvalidValue(f"there is a node {member.name!r} already; with_weight() changes its weight")
        return self._changed((*self._members, member))

    def without_node(self, name: str) -> Self:
        """Return a placement without a node and with `epoch + 1`.

        Raises:
            UnknownNode: there is no node of that name.
        """
        at = self._position(name)
        return self._changed(self._members[:at] + self._members[at + 1 :])

    def with_weight(self, name: str, weight: float) -> Self:
        """Return a placement where a node has another weight, and with `epoch + 1`.

        Raises:
            UnknownNode: there is no node of that name.
            InvalidType: the weight is no number.
            InvalidValue: the weight is not finite and above 0, or the algorithm takes no weights.
        """
        at = self._position(name)
        node = Node(name, weight, self._members[at].zone)
        return self._changed((*self._members[:at], node, *self._members[at + 1 :]))

    def diff(self, new: Placement) -> KeyDiff:
        """Return which keys have another owner in `new`, a placement of any kind.

        Raises:
            InvalidType: `new` is no placement.
        """
        return KeyDiff(self, new)

    def _changed(self, members: tuple[Node, ...]) -> Self:
        changed: Self = _restore(type(self), members, self._options(), self._epoch + 1)
        return changed

    def _position(self, name: object) -> int:
        position = self._find(name) if isinstance(name, str) else None
        if position is None:
            raise UnknownNode(name, self.nodes)
        return position

    def _find(self, name: str) -> int | None:
        return self._positions.get(name)

    def _has(self, name: str) -> bool:
        return self._find(name) is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[object, ...]:
        return type(self), self._members, tuple(self._options().items())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._members, self._options(), self._epoch)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.nodes[:8])) + (", …" if len(self) > 8 else "")
        options = "".join(f"{name}={value}, " for name, value in self._shown().items())
        return f"<{type(self).__name__} of {len(self)} nodes [{shown}], {options}epoch={self._epoch}>"

    def _shown(self) -> dict[str, Any]:
        return self._options()


def _restore(kind: Any, members: tuple[Node, ...], options: dict[str, Any], epoch: int) -> Any:
    return kind(members, **options, epoch=epoch)
