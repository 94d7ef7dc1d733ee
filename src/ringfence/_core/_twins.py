"""Choose between the compiled and the pure twin of a module of this folder.

Each `.py` here is one source: interpreted as it is, or compiled by Cython into an extension module beside it.
`RINGFENCE_IMPL=c` or `python` picks one and fails loudly when it is missing; without it the compiled one is taken
where it was built.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

MODULES = (
    "columns",
    "digests",
    "hashing",
    "points",
    "circles",
    "leases",
    "exchange",
    "lines",
    "jump",
    "maglev",
    "rendezvous",
    "probes",
    "anchor",
)
_FOLDER = Path(__file__).parent
_PACKAGE = __name__.rpartition(".")[0]


def choose(wanted: str | None = os.environ.get("RINGFENCE_IMPL")) -> str:
    """Return `"c"` or `"python"`: what was asked for, else the compiled twin where there is one.

    Raises:
        ImportError: `wanted` is neither, or asks for compiled modules that were not built.
    """
    built = all(extension(name) for name in MODULES)
    if wanted in (None, ""):
        return "c" if built else "python"
    if wanted not in ("c", "python"):
        raise ImportError(f"RINGFENCE_IMPL={wanted!r}: it takes 'c' or 'python'")
    if wanted == "c" and not built:
        raise ImportError(
            "RINGFENCE_IMPL=c, but the compiled modules are missing; install with a C compiler at hand"
        )
    return wanted


def load(name: str, implementation: str, prefix: str = _PACKAGE) -> ModuleType:
    """Load one twin of the module `name` as `prefix.name`, without looking for the other."""
    path = extension(name) if implementation == "c" else _FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{prefix}.{name}", path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def extension(name: str) -> Path | None:
    """Return the compiled twin of the module `name`, if it was built for this interpreter."""
    found = (_FOLDER / (name + suffix) for suffix in importlib.machinery.EXTENSION_SUFFIXES)
    return next((path for path in found if path.exists()), None)
