"""Both twins of the compiled modules in one process, no test of compiled ones older than their sources, and servers."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import uvloop
from hypothesis import settings

from ringfence import _core
from ringfence._core import _twins

pytest_plugins = ["ringfence.testing.servers.fixtures"]
os.environ.setdefault("RINGFENCE_SERVER_CACHE", str(Path(__file__).parent.parent / ".cache" / "servers"))

settings.register_profile("ringfence", deadline=None)  # property tests take as long as the machine needs
settings.load_profile("ringfence")

CORE = Path(_twins.__file__).parent
LEFT_OUT = pytest.StashKey[int]()
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


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asyncio test on the loop of the standard library and on uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(is_server(name) for name in getattr(item, "fixturenames", ())):
            item.add_marker("servers")


def is_server(fixture: str) -> bool:
    return fixture == "private_server" or fixture.endswith("_server")


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        config = items[0].config
        count = sum(item.get_closest_marker("servers") is not None for item in items)
        config.stash[LEFT_OUT] = config.stash.get(LEFT_OUT, 0) + count


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With pytest-xdist the workers know it, each of them all of it, and the controller tells it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["without_servers"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if hasattr(node, "workeroutput"):
        node.config.stash[LEFT_OUT] = node.workeroutput["without_servers"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    left_out = config.stash.get(LEFT_OUT, 0)
    if left_out and "not servers" in config.option.markexpr:
        terminalreporter.write_line(f"NOT RUN, by -m 'not servers': {left_out} tests", yellow=True)


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
    names = ("columns", "digests", "hashing", "points", "circles")
    modules: dict[str, ModuleType]
    if implementation == _core.IMPLEMENTATION:
        modules = {name: getattr(_core, name) for name in names}
    else:
        modules = load_other_twin(names, implementation)
    return SimpleNamespace(implementation=implementation, **modules)


def load_other_twin(names: tuple[str, ...], implementation: str) -> dict[str, ModuleType]:
    """Return modules of the twin that is not in use, which import one another.

    Compiled code looks for its neighbours under the package's own name, so each stands there while the next is loaded.
    """
    modules: dict[str, ModuleType] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            modules[name] = _twins.load(name, implementation, prefix="other_twin")
            patch.setitem(sys.modules, f"{_core.__name__}.{name}", modules[name])
    return modules


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
