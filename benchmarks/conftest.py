"""Race ours against a peer in one run, and print the ratios."""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Protocol

import pytest

from benchmarks.report import shown

Work = Callable[[], object]
ROWS: list["Row"] = []


@dataclass
class Row:
    """One line of the table."""

    what: str
    ours: str
    peer: str
    measured: str
    target: str
    ok: bool


class Race(Protocol):
    """Measure ours beside a peer, turn by turn, each warmed by one pass over the same work.

    Args:
        what: the line in the table.
        ours: does our work once.
        peer: does the peer's work once, or None to hold ours to `at_most` seconds alone.
        operations: how many operations one pass of each holds.
        at_least: ours is at least that many times as fast as the peer.
        at_most: ours takes at most that many times the peer's time; without a peer, seconds an operation.
        rounds: how many turns; the median of each counts.
    """

    def __call__(
        self,
        what: str,
        ours: Work,
        peer: Work | None = None,
        *,
        operations: int = 1,
        peer_operations: int | None = None,
        at_least: float | None = None,
        at_most: float | None = None,
        rounds: int = 50,
    ) -> None: ...


@pytest.fixture
def race(benchmark: Any) -> Iterator[Race]:
    """Return what measures ours beside a peer and adds a line to the table."""

    def run(
        what: str,
        ours: Work,
        peer: Work | None = None,
        *,
        operations: int = 1,
        peer_operations: int | None = None,
        at_least: float | None = None,
        at_most: float | None = None,
        rounds: int = 50,
    ) -> None:
        peers: list[float] = []

        def turn_of_the_peer() -> None:
            if peer is not None:
                peer()
                peers.append(seconds(peer) / (peer_operations or operations))
            ours()

        benchmark.pedantic(ours, setup=turn_of_the_peer, rounds=rounds)
        own = benchmark.stats.stats.median / operations
        ROWS.append(row(what, own, median(peers) if peers else None, at_least, at_most))
        benchmark.extra_info["race"] = asdict(ROWS[-1])

    gc.disable()
    yield run
    gc.enable()


def row(what: str, own: float, peer: float | None, at_least: float | None, at_most: float | None) -> Row:
    """Judge a measurement."""
    if peer is None:
        assert at_most is not None
        return Row(what, shown(own), "", shown(own), f"<= {shown(at_most)}", own <= at_most)
    if at_least is None:
        assert at_most is not None
        return Row(
            what, shown(own), shown(peer), f"{own / peer:.2f}x", f"<= {at_most}x", own / peer <= at_most
        )
    return Row(what, shown(own), shown(peer), f"{peer / own:.1f}x", f">= {at_least}x", peer / own >= at_least)


def seconds(work: Work) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.fixture
def note() -> Callable[[str, str, str, bool], None]:
    """Return what adds a line that is no time: what, measured, target, ok."""

    def add(what: str, measured: str, target: str, ok: bool) -> None:
        ROWS.append(Row(what, measured, "", measured, target, ok))

    return add


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table."""
    if not ROWS:
        return
    header = Row("what", "ours", "peer", "measured", "target", True)
    width = max(len(line.what) for line in ROWS)
    terminalreporter.section("ours beside the peers")
    for line in (header, *ROWS):
        ok = "ok" if line is header else "yes" if line.ok else "NO"
        terminalreporter.write_line(
            f"{line.what:<{width}} {line.ours:>9} {line.peer:>9} {line.measured:>9} {line.target:>10}  {ok}"
        )
