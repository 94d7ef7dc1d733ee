"""What the demo shows while it works: a progress bar a stage; in a dumb terminal or a file, a line a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ringfence.errors import BackendUnavailable

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Return the terminal.

    Raises:
        BackendUnavailable: rich is not installed.
    """
    try:
        from rich.console import Console
    except ImportError:
        raise BackendUnavailable(
            "the demo shows its progress with rich, which is not installed: pip install 'ringfence[cli]'"
        ) from None
    return Console(highlight=False)


@contextmanager
def stage(terminal: Console, title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the progress of one stage; the context is a function that takes what was done since its last call."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.advance(task, done)
