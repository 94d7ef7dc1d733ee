"""One run of the demo on a few files; tests look at a copy of what it left."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ringfence.cli import main
from ringfence.cli.demo.place import Place


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run of the demo came to."""

    place: Place
    code: int
    output: str


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a few files, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("source")
    for number in range(40):
        path = folder / f"part-{number % 4}" / f"file [{number}].bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(range(256)) * number)
    (folder / "broken").symlink_to("nowhere")
    return folder


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Ended:
    """Run the whole demo."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    with (
        pytest.MonkeyPatch.context() as patch,
        (tmp := tmp_path_factory.mktemp("out") / "out").open("w+") as out,
    ):
        patch.setattr("sys.stdout", out)
        patch.setenv("COLUMNS", "200")
        code = main(["demo", "--source", str(source), "--keep", str(folder), "--kills", "6", "--seed", "7"])
        out.flush()
        return Ended(Place(folder), code, tmp.read_text(encoding="utf-8"))


@pytest.fixture
def left(ended: Ended, tmp_path: Path) -> Place:
    """Return a copy of what the run left, to be tampered with."""
    return Place(Path(shutil.copytree(ended.place.folder, tmp_path / "copy")))
