"""Which source a URL names."""

from __future__ import annotations

from ringfence._url import split
from ringfence.errors import InvalidValue
from ringfence.placement.membership.sources import Source
from ringfence.placement.membership.sources.file import FileSource

KNOWN = ("file",)


def open_source(url: str) -> Source:
    """Return the source that a URL names; see `Membership.from_url`.

    Raises:
        InvalidType: `url` is not a string.
        InvalidValue: it names no known source.
    """
    _, rest = split(url, KNOWN)
    return FileSource(_file_path(url, rest))


def _file_path(url: str, rest: str) -> str:
    if not rest.startswith("/"):
        raise InvalidValue(f"{url!r} names no file; write file:///absolute/nodes.json, or FileSource(path)")
    return rest
