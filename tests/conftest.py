"""Both twins of the compiled modules in one process, and no test of compiled ones older than their sources."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from ringfence import _core
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


@pytest.fixture(scope="session")
def compiled() -> Callable[[str], bool]:
    """Say whether a module is compiled; fail when it is not although it could be."""
    return is_compiled


def is_compiled(name: str) -> bool:
    """Return whether a module is compiled; fail when it is not although it could be."""
    if _twins.extension(name) is not None:
        return True
    no_compiler = Path(sys.prefix, "ringfence-pure").exists()  # so says tools/prepare.py
    assert no_compiler or os.environ.get("RINGFENCE_IMPL") == "python", "the compiled modules were not built"
    return False


def load_twin(implementation: str) -> SimpleNamespace:
    """Return the modules of one twin."""
    names = ("columns", "hashing", "points")
    modules: dict[str, ModuleType]
    if implementation == _core.IMPLEMENTATION:
        modules = {name: getattr(_core, name) for name in names}
    else:
        modules = {name: _twins.load(name, implementation, prefix="other_twin") for name in names}
    return SimpleNamespace(implementation=implementation, **modules)


@pytest.fixture(scope="session")
def twins() -> dict[str, SimpleNamespace]:
    """Both twins, by name; the pure one alone where nothing can be compiled."""
    built = ("c", "python") if is_compiled("points") else ("python",)
    return {implementation: load_twin(implementation) for implementation in built}


@pytest.fixture(scope="session", params=["c", "python"])
def core(request: pytest.FixtureRequest, twins: dict[str, SimpleNamespace]) -> SimpleNamespace:
    """One twin after the other."""
    if request.param not in twins:
        pytest.skip("nothing is compiled here")
    return twins[request.param]
