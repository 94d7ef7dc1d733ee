"""Both twins of the compiled modules, in one process."""

import os
from types import ModuleType, SimpleNamespace

import pytest

from ringfence import _core
from ringfence._core import _twins


def load_twin(implementation: str) -> SimpleNamespace:
    """Return the modules of one twin; fail without the compiled ones unless pure Python was asked for."""
    if implementation == "c" and _twins.extension("points") is None:
        assert os.environ.get("RINGFENCE_IMPL") == "python", "the compiled modules were not built"
        pytest.skip("pure Python was asked for, and nothing is compiled")
    names = ("hashing", "points")
    modules: dict[str, ModuleType]
    if implementation == _core.IMPLEMENTATION:
        modules = {name: getattr(_core, name) for name in names}
    else:
        modules = {name: _twins.load(name, implementation, prefix="other_twin") for name in names}
    return SimpleNamespace(implementation=implementation, **modules)


@pytest.fixture(scope="session")
def twins() -> dict[str, SimpleNamespace]:
    """Both twins, by name."""
    return {implementation: load_twin(implementation) for implementation in ("c", "python")}


@pytest.fixture(scope="session", params=["c", "python"])
def core(request: pytest.FixtureRequest, twins: dict[str, SimpleNamespace]) -> SimpleNamespace:
    """One twin after the other."""
    found: SimpleNamespace = twins[request.param]
    return found
