"""Refuse to test compiled modules that are older than their sources."""

import os
from pathlib import Path

import pytest

from ringfence._core import _twins

CORE = Path(_twins.__file__).parent
KERNELS = [path for path in CORE.glob("*.pxd") if path.stem not in _twins.MODULES]


def stale() -> list[str]:
    """Return the compiled modules that are older than a source they were made from."""
    found = []
    for name in _twins.MODULES:
        compiled = _twins.extension(name)
        declared = list(CORE.glob(f"{name}.pxd"))  # with one, it is compiled together with the kernels
        sources = [CORE / f"{name}.py", *declared, *(KERNELS if declared else ())]
        if compiled is not None and compiled.stat().st_mtime < max(path.stat().st_mtime for path in sources):
            found.append(compiled.name)
    return found


def pytest_sessionstart(session: pytest.Session) -> None:
    if os.environ.get("RINGFENCE_IMPL") != "python" and (old := stale()):
        raise pytest.UsageError(f"older than their sources: {', '.join(old)}; build again: pip install -e .")
