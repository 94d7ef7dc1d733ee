"""A folder for one server."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ringfence.testing.servers import guardian

# The name of a Unix socket may have 107 bytes, and the socket is in this folder.
LONGEST = 80


def make_folder() -> Path:
    """Return a new folder that goes away with this process, whose name leaves room for one of a Unix socket."""
    usual = tempfile.gettempdir()
    base = usual if len(os.fsencode(usual)) < LONGEST else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="ringfence-", dir=base)).resolve()
    guardian.protect(folder)
    return folder
