"""Store URLs: which backend, and where it keeps its data.

`sqlite:///rel.db` is a relative path and `sqlite:////abs/file.db` an absolute one, as in SQLAlchemy. `memory://name`
is one store per name and process.
"""

from __future__ import annotations

from urllib.parse import unquote

from ringfence.errors import InvalidType, InvalidValue

KNOWN = ("memory", "sqlite")


def split(url: str, known: tuple[str, ...] = KNOWN) -> tuple[str, str]:
    """Split a URL into its scheme and what follows `://`.

    Raises:
        InvalidType: `url` is not a string.
        InvalidValue: it is no URL, or its scheme is not one of `known`.
    """
    if not isinstance(url, str):
        raise InvalidType(f"a store is given as a URL string, not {url!r}")
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in known:
        raise InvalidValue(f"no store is known for {url!r}; a URL starts with one of {_shown(known)}")
    return scheme, rest


def sqlite_path(url: str) -> str:
    """Return the path of the file named by a `sqlite:///` URL.

    Raises:
        InvalidValue: the URL names no file, or carries options.
    """
    _, rest = split(url, ("sqlite",))
    path = rest.removeprefix("/")
    if path == rest or not path or path == ":memory:":
        raise InvalidValue(f"{url!r} names no file; write sqlite:///relative.db or sqlite:////absolute.db")
    if "?" in path:
        raise InvalidValue(f"{url!r} carries options; a sqlite URL is a path and nothing else")
    return path


def file_path(url: str) -> str:
    """Return the path named by a `file:///absolute` URL, in which %20 stands for a space.

    Raises:
        InvalidValue: the URL names no absolute path.
    """
    _, rest = split(url, ("file",))
    if not rest.startswith("/") or rest == "/":
        raise InvalidValue(f"{url!r} names no path; write file:///absolute/path")
    return unquote(rest)


def hosts(url: str, known: tuple[str, ...]) -> tuple[list[str], str]:
    """Return the hosts of `scheme://host:port,host:port/path`, each with its port, and the path without slashes around.

    Raises:
        InvalidType: `url` is not a string.
        InvalidValue: it is no URL of a scheme that is known, names no host, or carries options.
    """
    _, rest = split(url, known)
    listed, _, path = rest.partition("/")
    if not all(listed.split(",")) or "?" in rest:
        raise InvalidValue(f"{url!r} is not host:port,host:port/path behind its scheme")
    return listed.split(","), path.strip("/")


def _shown(schemes: tuple[str, ...]) -> str:
    return ", ".join(f"{scheme}://" for scheme in schemes)
