"""Nodes in a file that is looked at again and again."""

from __future__ import annotations

import os
from pathlib import Path

from ringfence.errors import BackendUnavailable
from ringfence.placement import nodes_file
from ringfence.placement.membership.sources import Member
from ringfence.placement.membership.sources.static import EventSource


class FileSource(EventSource):
    """The nodes of a JSON or YAML file, in the formats of `ringfence ring --nodes`.

    The whole file is read at each look, and parsed when it holds other bytes. So no change is missed, whether the file
    is replaced or written in place within one tick of the clock that stamps files. A half-written file is refused like
    any other that holds no nodes; one that happens to be a shorter list does not stand for long enough to matter.

    Args:
        path: named *.json, *.yaml or *.yml.

    Raises:
        InvalidValue: it is named otherwise.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self._path = Path(os.path.abspath(path))
        nodes_file.parser(self._path)
        self._data: bytes | None = None
        self._members: list[Member] = []

    def read(self) -> list[Member]:
        """Return the nodes of the file.

        Raises:
            BackendUnavailable: the file cannot be read, or PyYAML is needed and not installed.
            InvalidValue: it holds no nodes, or two of one name.
        """
        data = self._read()
        if data != self._data:
            self._members = [Member(node) for node in nodes_file.parse(self._path, data).nodes]
            self._data = data
        return self._members

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise BackendUnavailable(
                f"the nodes {str(self._path)!r} cannot be read: {error.strerror}"
            ) from error
