"""Where the programs of a server are: on this system, or unpacked from its packages into a cache."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ringfence.errors import BackendUnavailable
from ringfence.testing.servers import packages

# Beside PATH; on Debian some servers are in none of its folders.
FOLDERS = ("usr/sbin", "usr/bin", "usr/lib/postgresql/*/bin", "usr/lib/jvm/*/bin")
JARS = "usr/share/java"


@dataclass(frozen=True, slots=True)
class Needed:
    """What a kind of server is made of.

    Attributes:
        kind: its name.
        packages: the packages of the distribution that hold it.
        programs: what must be found, each as its names in order of preference.
        jars: what Java must find.
    """

    kind: str
    packages: Sequence[str]
    programs: Sequence[tuple[str, ...]]
    jars: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of one server.

    Attributes:
        tree: the folder into which packages were unpacked; the system's own root where that was not needed.
    """

    tree: Path = Path("/")

    def program(self, *names: str) -> Path:
        """Return the first program that is there, of the newest version; the unpacked one before the system's.

        Raises:
            BackendUnavailable: none is there; names them.
        """
        for name in names:
            if found := self._unpacked(name) or on_system(name):
                return found
        raise BackendUnavailable(f"{' or '.join(names)} is not there")

    def jar(self, name: str) -> Path:
        """Return a library for Java.

        Raises:
            BackendUnavailable: it is not there; names it.
        """
        for root in (self.tree, Path("/")):
            if (path := root / JARS / f"{name}.jar").exists():
                return path
        raise BackendUnavailable(f"{name}.jar is not there")

    def require(self, needed: Needed) -> None:
        """Look for everything a server needs.

        Raises:
            BackendUnavailable: something is not there; names it.
        """
        for names in needed.programs:
            self.program(*names)
        for name in needed.jars:
            self.jar(name)

    def environment(self) -> dict[str, str]:
        """Return the variables by which programs find unpacked libraries."""
        if not self._is_unpacked():
            return {}
        folders = [
            str(folder) for top in ("usr/lib", "lib") for folder in self.tree.glob(f"{top}/*-linux-gnu*")
        ]
        inherited = os.environ.get("LD_LIBRARY_PATH")
        return {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, [*folders, inherited]))}

    def _unpacked(self, name: str) -> Path | None:
        return newest(self.tree, name) if self._is_unpacked() else None

    def _is_unpacked(self) -> bool:
        return self.tree != Path("/")


def on_system(name: str) -> Path | None:
    """Return an installed program: the one on PATH, or the newest in one of Debian's own places."""
    found = shutil.which(name)
    return Path(found) if found else newest(Path("/"), name)


def newest(root: Path, name: str) -> Path | None:
    """Return a program under a root; of several versions the newest."""
    found = [path for folder in FOLDERS for path in root.glob(f"{folder}/{name}") if os.access(path, os.X_OK)]
    return max(found, key=version, default=None)


def version(path: Path) -> list[int]:
    """Return the numbers in a path, for an order in which 15 comes after 9."""
    return [int(number) for number in re.findall(r"\d+", str(path.parent))]


def find(needed: Needed) -> Programs:
    """Return the programs of a server: those of the system, or else those of its packages, unpacked into the cache.

    Raises:
        BackendUnavailable: they are not there and cannot be had; says what to do.
    """
    try:
        Programs().require(needed)
    except BackendUnavailable as missing:
        return from_packages(needed, missing)
    return Programs()


def from_packages(needed: Needed, missing: BackendUnavailable) -> Programs:
    """Return the programs out of the cache, downloaded when they are not there yet."""
    try:
        found = Programs(packages.unpacked(needed.kind, needed.packages))
        found.require(needed)
    except BackendUnavailable as failure:
        raise BackendUnavailable(
            f"no {needed.kind} server: {missing}, and its packages cannot be had: {failure}\n"
            f"install it (Debian, Ubuntu: apt install {' '.join(needed.packages)})"
        ) from failure
    return found
