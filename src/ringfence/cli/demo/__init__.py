"""The demo: real files over five shards, a sixth one joins amid SIGKILLs, and every byte is verified.

Five shards store every file of a folder: SQLite files, databases of a PostgreSQL, or keys of a Redis. Then a rebalancer
moves keys to a sixth shard while writers keep updating, and all these processes are killed at random moments again and
again. In the end no file may be lost, doubled or changed, no update half done, nothing in doubt and no lease left.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from ringfence.cli.demo import chaos, journal, load, report, screen, source, stores, verify
from ringfence.cli.demo.place import JOINING, SHARDS, Place, grown, url
from ringfence.cli.demo.process import COORDINATORS, REBALANCER, WorkerFailed
from ringfence.errors import InvalidValue
from ringfence.transactions import TransactionManager


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `demo` to the commands."""
    add = commands.add_parser(
        "demo", help="store real files, rebalance amid SIGKILLs, verify every byte", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).add_argument  # fmt: skip
    add(
        "--source", type=Path, metavar="DIR", help="store the files below DIR (default: the standard library)"
    )
    add(
        "--keep", type=Path, metavar="DIR", help="put the shards into DIR, new or empty, and leave them there"
    )
    add(
        "--shards", metavar="URL", help="put the shards into this PostgreSQL or Redis (default: SQLite files)"
    )
    add("--locks", metavar="URL", help="take the rebalance lock there (default: an SQLite file)")
    add(
        "--kills",
        type=_count,
        default=24,
        metavar="N",
        help="kill worker processes N times (default: %(default)s)",
    )
    add(
        "--seed", type=int, default=0, metavar="N", help="decides who is killed when, and what writers update"
    )
    commands.choices["demo"].set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the demo; return 0 when everything is as it should be, 1 when something is lost or wrong."""
    terminal = screen.console()
    folder = options.source or source.standard_library()
    paths = source.find(folder)
    with place_for(options.keep) as place, stores_for(place, options):
        began = time.monotonic()
        with screen.stage(terminal, f"storing the files of {folder.name}", len(paths)) as advance:
            loaded = load.load(place, folder, paths, advance)
        try:
            with screen.stage(terminal, "rebalancing amid SIGKILLs", options.kills) as advance:
                workers = chaos.torment(place, options.kills, Random(options.seed), advance)
        except WorkerFailed as failure:
            terminal.print(f"FAILED: {failure}", style="bold red", markup=False, soft_wrap=True)
            return 1
        settle(place)
        account = journal.read(place.folder)
        with screen.stage(terminal, "verifying", len(SHARDS)) as advance:
            findings = verify.verify(place, loaded.files, account, advance)
        seconds = time.monotonic() - began
        report.show(terminal, report.Run(loaded, workers, place.outcomes(), account, findings, seconds))
        if options.keep:
            terminal.print(f"look: {hint(place)}", markup=False, soft_wrap=True)
    return 1 if findings.problems else 0


def settle(place: Place) -> None:
    """Resolve what the last lives of the workers left behind, and see to it that nothing is left to move."""
    with TransactionManager(url(place.decisions), place.urls, name="settler") as manager:
        for coordinator in COORDINATORS.values():
            manager.recover(coordinator)
    with place.cluster(REBALANCER) as cluster:
        cluster.rebalance(grown())


@contextmanager
def stores_for(place: Place, options: argparse.Namespace) -> Iterator[None]:
    """Make the shards in a server, if one is named; they are removed at the end unless they are to be kept."""
    if options.shards or options.locks:
        stores.make(place.folder, SHARDS, options.shards, options.locks)
    try:
        yield
    finally:
        if not options.keep:
            stores.remove(place.stores)


def hint(place: Place) -> str:
    """Return where to look at the shard that has joined."""
    if place.shard(JOINING).exists():
        return f"sqlite3 {place.shard(JOINING)} 'SELECT key, length(value) FROM entry LIMIT 5'"
    return stores.hint(place.urls[JOINING])


@contextmanager
def place_for(keep: Path | None) -> Iterator[Place]:
    """Make the folder of the demo; it is removed at the end unless it is to be kept.

    Raises:
        InvalidValue: the folder to keep has something in it.
    """
    if keep is None:
        with TemporaryDirectory(prefix="ringfence-demo-") as folder:
            yield Place(Path(folder))
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        occupied = any(keep.iterdir())
    except OSError as error:
        raise InvalidValue(f"--keep {str(keep)!r} cannot be used: {error.strerror}") from error
    if occupied:
        raise InvalidValue(f"--keep {str(keep)!r} is not empty; name a new folder")
    yield Place(keep.absolute())


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number
