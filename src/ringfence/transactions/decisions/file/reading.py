"""Reading a log beside the process that writes it."""

from __future__ import annotations

from ringfence.errors import StoreDamaged
from ringfence.transactions.decisions.file.disk import Disk
from ringfence.transactions.decisions.file.pack import Pack
from ringfence.transactions.decisions.file.segments import Segment, read_all

_ATTEMPTS = 20


def read_beside(disk: Disk) -> list[Segment | Pack]:
    """Read all segments of a log that may be growing, and being packed, meanwhile.

    Raises:
        StoreDamaged: a file is missing, or not what was written, and stays so.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return read_all(disk)
        except StoreDamaged:  # the last segment may have been written while it was read
            continue
    return read_all(disk)
