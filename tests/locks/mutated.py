"""Histories made wrong, which a checker has to reject."""

import math
from collections import Counter

from ringfence.testing.linearizability import Operation


def swapped(history: list[Operation]) -> list[Operation]:
    """The history, with the fences of two holders exchanged."""
    grants = sorted(
        (operation for operation in history if operation.action == "acquire"), key=lambda o: o.fence
    )
    first, last = grants[len(grants) // 3], grants[-1]
    exchanged = {first.fence: last.fence, last.fence: first.fence}
    return [
        operation._replace(fence=exchanged.get(operation.fence, operation.fence)) for operation in history
    ]


def without_a_release(history: list[Operation]) -> list[Operation]:
    """The history, with a holder less who gave the lock back, and whose lease did not end otherwise."""
    ends = Counter((o.owner, o.fence) for o in history if o.action in ("release", "expire"))
    releases = [o for o in history if o.action == "release" and o.answer and ends[o.owner, o.fence] == 1]
    return [operation for operation in history if operation is not releases[len(releases) // 2]]


def with_a_stale_write(history: list[Operation]) -> list[Operation]:
    """The history, with a write let through that had to be refused."""
    writes = [o for o in history if o.action == "write" and o.answer and o.answered < math.inf]
    first, last = min(writes, key=lambda o: o.fence), max(writes, key=lambda o: o.fence)
    return [*history, first._replace(called=last.answered + 1.0, answered=last.answered + 2.0)]
