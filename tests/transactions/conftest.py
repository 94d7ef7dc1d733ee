import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .bank import FOLDER_IN_MEMORY, Bank


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where possible: where an fsync is quick and SIGKILL makes no difference."""
    if not FOLDER_IN_MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=FOLDER_IN_MEMORY) as made:
        yield Path(made)


@pytest.fixture
def bank(folder: Path) -> Bank:
    (folder / "bank").mkdir()
    return Bank.opened(folder / "bank")
