"""A progress bar on standard error, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(title: str, total: int | None, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show how many bytes are done; the context is a function that takes those done since its last call.

    Nothing is shown where standard error is no terminal, or rich is not installed.

    Args:
        title: stands before the bar.
        total: bytes; None where it is not known.
        shown: whether to show it at all.
    """
    if not shown or not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(escape("standard input" if title == "-" else title), total=total)
        yield lambda done: progress.advance(task, done)
