"""The Merkle tree over a decision log, each record a leaf; packs give the subtrees that they were packed with."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache

from ringfence.errors import ProofRejected
from ringfence.transactions.decisions.file.pack import Pack
from ringfence.transactions.decisions.file.segments import Segment
from ringfence.transactions.merkle.tree import Place, Tree, grown, leaf_hash, node_hash

_SEGMENTS_IN_MEMORY = 4


class LogTree(Tree):
    """The tree over the records of a log's segments.

    A root takes no more than the subtrees that packs keep; a proof reads the segments of the leaves that it is about.
    """

    def __init__(self, segments: Sequence[Segment | Pack]) -> None:
        self._segments = segments
        self._starts = [segment.start for segment in segments]
        self._within = lru_cache(_SEGMENTS_IN_MEMORY)(self._grown)

    def __len__(self) -> int:
        return self._segments[-1].start + self._segments[-1].count

    def perfect(self, level: int, index: int) -> bytes:
        """The hash of a perfect subtree."""
        place = bisect_right(self._starts, index << level) - 1
        segment = self._segments[place]
        if (level, index) in segment.nodes:
            return segment.nodes[level, index]
        if (index + 1) << level <= segment.start + segment.count:
            return self._within(place)[level, index]
        return node_hash(self.perfect(level - 1, 2 * index), self.perfect(level - 1, 2 * index + 1))

    def check(self) -> None:
        """Compare what packs keep beside their records, the subtrees among it, with these records.

        Raises:
            ProofRejected: one keeps something else.
        """
        for segment in self._segments:
            if isinstance(segment, Pack) and not segment.is_whole():
                raise ProofRejected(
                    f"pack {segment.number} of log {segment.identity}",
                    "its records are not those of its tree",
                )

    def _grown(self, place: int) -> Mapping[Place, bytes]:
        segment = self._segments[place]
        return grown(segment.start, [leaf_hash(record.encode()) for record in segment.records()])
