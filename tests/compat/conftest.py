"""The recorded answers of the real clients; where each comes from stands in its `source`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parent.parent / "vectors"


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    return lambda name: json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
