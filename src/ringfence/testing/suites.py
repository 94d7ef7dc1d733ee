"""What the conformance suites of stores share."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any


def failures(suite: object) -> dict[str, str]:
    """Run a suite; return the traceback of each test that failed, by the test's name."""
    failed = {}
    for name in sorted(name for name in dir(suite) if name.startswith("test_")):
        try:
            getattr(suite, name)()
        except Exception:
            failed[name] = traceback.format_exc()
    return failed


def refused(error: type[Exception], function: Callable[..., Any], *arguments: Any) -> Exception:
    """Return the `error` that the call raises; fail when it raises none, or another one."""
    try:
        answer = function(*arguments)
    except error as raised:
        return raised
    raise AssertionError(
        f"{function!r}{arguments!r} answered {answer!r}, and should have raised {error.__name__}"
    )
