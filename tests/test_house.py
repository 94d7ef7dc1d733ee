"""The rules of the house: which way imports run, how long a file is, what is documented, what is never written down."""

import ast
import inspect
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import ringfence
from ringfence import aio, compat

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "ringfence"

FOUNDATION = {
    "errors",
    "_core",
    "_etcd",
    "_forks",
    "_mysql",
    "_postgresql",
    "_redis",
    "_report",
    "_sqlite",
    "_sqlite_marks",
    "_url",
    "_zookeeper",
}
LOW = FOUNDATION | {"protocol"}
PILLARS = {"placement", "locks", "transactions"}
MAY_IMPORT = {
    "errors": set(),
    "_core": {"errors"},
    "_etcd": {"errors", "_url"},
    "_forks": set(),
    "_mysql": {"errors", "_url"},
    "_postgresql": {"errors", "_forks", "_url"},
    "_redis": {"errors"},
    "_report": set(),
    "_sqlite": {"errors"},
    "_sqlite_marks": set(),
    "_url": {"errors"},
    "_zookeeper": {"errors"},
    "protocol": FOUNDATION,
    "placement": LOW,
    "compat": {"errors", "_core", "placement"},
    "locks": LOW,
    "transactions": LOW,
    "cluster": LOW | PILLARS,
    "aio": LOW | PILLARS | {"cluster"},
    "bindings": LOW | {"transactions", "aio"},
    "testing": LOW | PILLARS | {"cluster", "aio"},
    "__init__": LOW | PILLARS | {"cluster"},
    "cli": LOW | PILLARS | {"cluster", "aio", "testing", "__init__"},
    "__main__": {"cli"},
}


def room(path: Path) -> str:
    """Return the folder or module directly under the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST, path: Path) -> Iterator[str]:
    """Yield the rooms that a module imports, inside functions too."""
    package = ["ringfence", *path.relative_to(PACKAGE).parent.parts]
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            above = package[: len(package) + 1 - statement.level] if statement.level else []
            base = ".".join([*above, *filter(None, [statement.module])])
            names = [f"{base}.{alias.name}" for alias in statement.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            if parts[0] == "ringfence":
                yield parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else "__init__"


def wrong_imports(source: str, path: Path) -> set[str]:
    """Return the rooms that a file at `path` imports and may not."""
    own = room(path)
    return set(imported_rooms(ast.parse(source), path)) - MAY_IMPORT[own] - {own}


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    wrong = wrong_imports(path.read_text(encoding="utf-8"), path)
    assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


@pytest.mark.parametrize(
    ("where", "source", "wrong"),
    [
        ("locks/lock.py", "from ringfence.transactions import gid", {"transactions"}),
        ("locks/lock.py", "def f():\n    import ringfence.cluster.cluster", {"cluster"}),
        ("locks/stores/memory.py", "from ...placement import ring", {"placement"}),
        ("errors.py", "from ringfence import protocol", {"protocol"}),
        ("cluster/cluster.py", "from ringfence import HashRing", {"__init__"}),
        ("cluster/cluster.py", "from ringfence.placement.ring import HashRing\nimport os", set()),
        ("locks/lock.py", "from .lease import Lease", set()),
        ("compat/envoy.py", "from ringfence.cluster import view", {"cluster"}),
    ],
)
def test_a_wrong_import_is_seen(where: str, source: str, wrong: set[str]) -> None:
    assert wrong_imports(source, PACKAGE / where) == wrong


def listed(*patterns: str) -> list[Path]:
    """Return the files of the repository, those not committed yet included; skip without a repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip("needs a git checkout")
    return [ROOT / name for name in answer.stdout.split("\0") if name and (ROOT / name).exists()]


def test_no_file_is_too_long() -> None:
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in listed("*.py", "*.pxd")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not too_long


# Put together here so that this file does not hold what it forbids.
FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.])/(?:root|home|wor" + r"k)/",
            r"(?<!\w)/tmp/w" + r"t\b",
            r"(?:--(?:extra-)?index|--find-links|index)[-_]url\s*[= ]",
            r"(?:pypi|pythonhosted|npmjs|debian)\.(?:org|com)\b",
        ]
    )
)


def test_the_tree_names_no_machine_and_no_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in listed()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert not found


@pytest.mark.parametrize(
    "line", ["cd /root/x", "x = '/home/ann/data'", "pip --index-url=x", "https://pypi" + ".org/"]
)
def test_a_forbidden_line_is_seen(line: str) -> None:
    assert FORBIDDEN.search(line)


def undocumented(module: ModuleType) -> Iterator[str]:
    """Yield the public classes, functions and methods of a module that have no docstring of their own."""
    for name, value in vars(module).items():
        if name.startswith("_") or not getattr(value, "__module__", "").startswith("ringfence"):
            continue
        if not inspect.getdoc(value):
            yield name
        if inspect.isclass(value):
            members = ((key, member) for key, member in vars(value).items() if not key.startswith("_"))
            yield from (
                f"{name}.{key}" for key, member in members if callable(member) and not inspect.getdoc(member)
            )


COMPAT = [getattr(compat, name) for name in compat.__all__]


@pytest.mark.parametrize("module", [ringfence, aio, *COMPAT], ids=lambda module: module.__name__)
def test_public_names_are_documented(module: ModuleType) -> None:
    assert not list(undocumented(module))
