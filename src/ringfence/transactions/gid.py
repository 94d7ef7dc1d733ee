"""Global transaction ids: `{name}.{epoch}.{seq}`.

`name` is the coordinator's, `epoch` counts its starts and is given out by the decision store, `seq` counts its
transactions since that start. So a gid is never used twice, and says who may recover it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ringfence.errors import InvalidType, InvalidValue

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_GID = re.compile(rf"({_NAME.pattern})\.([1-9][0-9]{{0,17}})\.([1-9][0-9]{{0,17}})")


class Gid(NamedTuple):
    """The parts of a gid; `str()` gives the gid."""

    name: str
    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.name}.{self.epoch}.{self.seq}"

    @classmethod
    def parse(cls, gid: str) -> Gid:
        """Split `gid` into its parts.

        Raises:
            InvalidType: it is not a string.
            InvalidValue: it is not a gid.
        """
        if not isinstance(gid, str):
            raise InvalidType(f"a gid is a string like 'main.1.1', not {gid!r}")
        found = _GID.fullmatch(gid)
        if found is None:
            raise InvalidValue(f"{gid!r} is not a gid; a gid looks like 'main.1.1'")
        return cls(found[1], int(found[2]), int(found[3]))


def check_name(name: str) -> str:
    """Return `name` if it can name a coordinator.

    Raises:
        InvalidType: it is not a string.
        InvalidValue: it is empty, too long or has other characters than A-Z a-z 0-9 _ and -.
    """
    if not isinstance(name, str):
        raise InvalidType(f"a coordinator's name is a string, not {name!r}")
    if not _NAME.fullmatch(name):
        raise InvalidValue(f"{name!r} cannot name a coordinator; use 1 to 40 of A-Z a-z 0-9 _ -")
    return name
