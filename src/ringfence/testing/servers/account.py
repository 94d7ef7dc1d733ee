"""An ordinary user for servers that refuse to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from ringfence.errors import BackendUnavailable

NAME = "nobody"


def command_prefix() -> list[str]:
    """Return what stands before a command so that it runs as an ordinary user; nothing where it does anyway.

    It keeps one right of root's, to go past file permissions: the programs and data may be in a folder of root's own.
    """
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        raise BackendUnavailable(
            "it refuses to run as root, and setpriv (package util-linux) is missing; run the tests as another user"
        )
    user = pwd.getpwnam(NAME)
    rights = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *rights]


def hand_over(folder: Path) -> None:
    """Give a folder and all in it to that user."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(NAME)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
