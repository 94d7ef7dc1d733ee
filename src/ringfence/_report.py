"""Errors in threads of the package's own, where nobody can catch them."""

from __future__ import annotations

import sys
import threading


def report() -> None:
    """Report the exception under way as one that ended a thread."""
    kind, error, trace = sys.exc_info()
    assert kind is not None
    threading.excepthook(threading.ExceptHookArgs((kind, error, trace, threading.current_thread())))
