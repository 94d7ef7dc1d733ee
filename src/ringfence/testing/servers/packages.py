"""Server programs out of the distribution's packages, unpacked into a folder: needs no root, and installs nothing.

apt chooses, downloads and verifies the packages by the sources and keys of this machine, with lists, state and
archives of its own, so that an ordinary user may; `dpkg-deb` unpacks them. Only what is not installed is downloaded.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ringfence.errors import BackendUnavailable

PATIENCE = 1800.0
"""Seconds for a download, and for waiting for another process that downloads."""

CACHE_VARIABLE = "RINGFENCE_SERVER_CACHE"

# Read after the machine's own configuration: its hooks are for installations, and some need root.
SETTINGS = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{folder}";
Dir::Cache::archives "{archives}";
APT::Sandbox::User "";
APT::Keep-Downloaded-Packages "true";
APT::Install-Recommends "false";
Acquire::Retries "3";
Debug::NoLocking "true";
"""


def cache_folder() -> Path:
    """Return where unpacked servers are kept for this system: RINGFENCE_SERVER_CACHE, or the user's cache."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(os.environ.get(CACHE_VARIABLE) or user / "ringfence" / "servers").absolute()
    return base / f"{system()}-{platform.machine()}"


def system() -> str:
    """Return the name and version of the distribution: a cache may be shared by several."""
    try:
        about = platform.freedesktop_os_release()
    except OSError:
        return platform.system().lower()
    return f"{about['ID']}-{about.get('VERSION_ID', 'rolling')}"


def unpacked(kind: str, packages: Sequence[str]) -> Path:
    """Return the folder into which packages and what they need are unpacked; download them when it is not there.

    Safe when several processes ask at once; what was interrupted is taken up again, and never used half made.

    Raises:
        BackendUnavailable: there is no apt, the cache cannot be written, or apt failed; shows what it said.
    """
    cache = cache_folder()
    tree = cache / kind
    if tree.exists():
        return tree
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise BackendUnavailable("this system has no apt-get that could download it")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / "lock"):
            if not tree.exists():
                fetch(kind, packages, tree)
    except OSError as error:
        raise BackendUnavailable(
            f"the cache {cache} cannot be used: {error}; set {CACHE_VARIABLE}"
        ) from error
    return tree


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock; it ends with the process."""
    deadline = time.monotonic() + PATIENCE
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BackendUnavailable(f"another process holds {path}") from None
                time.sleep(0.1)
        yield


def fetch(kind: str, packages: Sequence[str], tree: Path) -> None:
    """Download and unpack, and give the folder its name when it is whole."""
    print(f"downloading {' '.join(packages)} into {tree.parent}", file=sys.stderr, flush=True)
    apt, partial = tree.parent / "apt", tree.parent / f"{kind}.partial"
    archives = apt / kind
    for folder in (apt / "lists" / "partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    settings = apt / "settings"
    settings.write_text(SETTINGS.format(folder=apt, archives=archives), encoding="utf-8")
    run("apt-get", "-c", settings, "-qq", "update")
    run("apt-get", "-c", settings, "-qq", "-y", "--download-only", "install", *packages)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for archive in sorted(archives.glob("*.deb")):
        run("dpkg-deb", "--extract", archive, partial)
    relink(partial)
    partial.rename(tree)
    shutil.rmtree(archives)


def relink(tree: Path) -> None:
    """Make the absolute links of unpacked packages point into the tree, where what they mean is there."""
    for link in tree.rglob("*"):
        if link.is_symlink() and os.readlink(link).startswith("/"):
            inside = Path(f"{tree}{os.readlink(link)}")
            if os.path.lexists(inside):
                link.unlink()
                link.symlink_to(os.path.relpath(inside, link.parent))


def run(*command: object) -> None:
    """Run a command of the package system, and raise what it said when it fails."""
    words = [str(part) for part in command]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise BackendUnavailable(f"{words[0]} failed:\n{tail}")
