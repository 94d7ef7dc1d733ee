"""What the demo says at its end: a table of figures, the load of each shard as a chart, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringfence._core import IMPLEMENTATION
from ringfence.cli.demo.journal import Account
from ringfence.cli.demo.load import Loaded
from ringfence.cli.demo.place import JOINING
from ringfence.cli.demo.process import Worker
from ringfence.cli.demo.verify import Findings, Load

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 40
"""Characters of the longest bar."""

SHOWN = 20
"""Problems and skipped files that are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Run:
    """All figures of one run.

    Attributes:
        loaded: what was stored.
        workers: who was killed, and what of theirs was in doubt then.
        outcomes: what became of each decided transaction, by gid.
        account: what the workers wrote down.
        findings: what the shards hold in the end.
        seconds: of the whole run.
    """

    loaded: Loaded
    workers: list[Worker]
    outcomes: dict[str, str]
    account: Account
    findings: Findings
    seconds: float


def show(terminal: Console, run: Run) -> None:
    """Print the whole report."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in figures(run):
        table.add_row(name, value)
    terminal.print(table)
    terminal.print()
    terminal.print(
        chart(run.findings.loads, "#" if terminal.options.ascii_only else "█"), markup=False, soft_wrap=True
    )
    skipped = [f"skipped: {file.path!r}: {file.reason}" for file in run.loaded.skipped]
    for line in shortened(skipped, "files skipped") + shortened(run.findings.problems, "problems"):
        terminal.print(line, markup=False, soft_wrap=True)
    terminal.print(
        verdict(run.findings), soft_wrap=True, style="bold red" if run.findings.problems else "bold green"
    )


def figures(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the lines of the table."""
    keys, moved = len(run.findings.where), run.findings.loads[JOINING].keys
    kills = ", ".join(f"{worker.name} {worker.kills}" for worker in run.workers)
    yield "files", f"{len(run.loaded.files):,} ({len(run.loaded.skipped):,} skipped)"
    yield "keys", f"{keys:,} (each file and its two counters)"
    yield "bytes", f"{run.loaded.size:,}"
    yield "keys moved", f"{moved:,} = {moved / max(keys, 1):.2%} (ideal 1/6 = {1 / 6:.2%})"
    yield "SIGKILLs", f"{sum(worker.kills for worker in run.workers):,} ({kills})"
    yield from transactions(run)
    yield "updates found", f"{run.findings.updates:,} ({run.account.words['ok']:,} acknowledged)"
    yield "time", f"{run.seconds:.1f} s"
    yield "core", "compiled" if IMPLEMENTATION == "c" else "pure Python"


def transactions(run: Run) -> Iterator[tuple[str, str]]:
    """Yield how many transactions ended how; recovered ones stood prepared when their process was killed."""
    words = run.account.words
    ends = Counter(run.outcomes.get(gid, "aborted") for worker in run.workers for gid in worker.in_doubt)
    committed = run.loaded.transactions + words["ok"] + words["batch"] + ends["committed"]
    yield "transactions committed", f"{committed:,}"
    yield "transactions aborted", f"{words['no'] + ends['aborted']:,}"
    yield "transactions recovered", f"{ends['committed']} to committed, {ends['aborted']} to aborted"


def chart(loads: dict[str, Load], mark: str) -> str:
    """Return one bar a shard, as long as its share of the keys."""
    most = max(1, *(load.keys for load in loads.values()))
    return "\n".join(
        f"{shard}  {mark * round(WIDTH * load.keys / most):<{WIDTH}}  {load.keys:>7,} keys  {load.size / 1e6:8.1f} MB"
        for shard, load in loads.items()
    )


def shortened(lines: list[str], what: str) -> list[str]:
    """Return the first lines, and how many there are more."""
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"… and {more:,} more {what}"] if more > 0 else [])


def verdict(findings: Findings) -> str:
    """Return the last line."""
    if findings.problems:
        return f"FAILED: {len(findings.problems):,} problems"
    return (
        "verified: every file byte for byte, each key once and on its shard, nothing in doubt, no lease left"
    )
