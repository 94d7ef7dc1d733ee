"""What is installed: the wheel and the source distribution hold all that both twins need, and work."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "ringfence"
SOURCES = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pxd", ".typed")]
NAMES = {path.relative_to(ROOT / "src").as_posix() for path in SOURCES}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both distributions from a copy of the tree, as without a compiler."""
    work = tmp_path_factory.mktemp("package")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        (work / name).write_bytes((ROOT / name).read_bytes())
    for path in SOURCES:
        target = work / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    command = [sys.executable, "setup.py", "-q", "sdist", "bdist_wheel"]
    without = {**os.environ, "CC": "no-such-compiler", "RINGFENCE_REQUIRE_COMPILED": "0"}
    subprocess.run(command, cwd=work, env=without, check=True, capture_output=True)
    return work / "dist"


def test_the_wheel_holds_everything(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert names >= NAMES
    assert not [name for name in names if name.endswith((".c", ".so"))]


def test_the_source_distribution_can_be_built_again(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert names >= {"setup.py", "pyproject.toml", "LICENSE", "README.md"} | {f"src/{name}" for name in NAMES}


def test_the_wheel_works_as_pure_python(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = (
        "from ringfence._core import IMPLEMENTATION; from ringfence.placement import HashRing, ring;"
        "print(IMPLEMENTATION, HashRing(['a'])['x'], ring.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "RINGFENCE_IMPL": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["python", "a", str(tmp_path / "ringfence" / "placement" / "ring.py")]
