"""The tests that the documentation shows to others pass."""

import re
from pathlib import Path
from typing import Any

import pytest

from ringfence.testing.servers.fixtures import PrivateServers

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for code in re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        exec(compile(code, PAGE.name, "exec"), names)
    return names


def test_a_server_that_fails(documented: dict[str, Any]) -> None:
    documented["test_a_server_that_fails"]()


def test_late_replies(documented: dict[str, Any], private_server: PrivateServers) -> None:
    documented["test_late_replies"](private_server)
