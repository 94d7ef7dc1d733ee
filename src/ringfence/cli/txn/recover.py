"""`ringfence txn recover`: bring what coordinators have left prepared to its end."""

from __future__ import annotations

import argparse
import math
import signal
import sys

from ringfence.cli.lock import signals
from ringfence.cli.txn import options
from ringfence.cli.txn.doubt import prepared
from ringfence.cli.txn.options import Stores
from ringfence.errors import InvalidValue, RingfenceError
from ringfence.protocol import run as drive
from ringfence.transactions import recovery
from ringfence.transactions.gid import Gid, check_name
from ringfence.transactions.recovery import Recovery

MORE = """It follows the decisions that stand, and aborts what has none, as coordinators do when they start.
Transactions of a coordinator that has not been started again since are left to it. If that process is dead, and
nobody starts it again, say --take-over NAME: the coordinator of that name, should it still run, can commit no more on
several participants.

With --watch it goes on until SIGTERM or SIGINT, and says what it does; a participant that cannot be reached is asked
again. As a decision log is open in one process at a time, there the coordinator has to do this: recover_forever().

Exits with 0 when nothing is left that could be resolved, and with 1 otherwise; with --watch, as the last round went.

examples:
  ringfence txn recover --stores stores.toml
  ringfence txn recover --stores stores.toml --take-over billing
  ringfence txn recover --stores stores.toml --watch --every 10
"""

_END = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `recover`."""
    parser = options.add_parser(
        commands, "recover", "commit or roll back what was left prepared, as was decided", MORE
    )
    add = parser.add_argument
    add(
        "--take-over", metavar="NAME", action="append", default=[],
        help="a coordinator whose process is dead: recover its newest transactions too",
    )  # fmt: skip
    add("--watch", action="store_true", help="go on until SIGTERM")
    add("--every", type=_seconds, default=5.0, metavar="S", help="seconds between rounds (default: 5)")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Recover once, or until a signal comes."""
    for name in given.take_over:
        check_name(name)
    with options.opened(given) as stores:
        for name in given.take_over:
            _take_over(stores, name)
        return _watch(stores, given.every) if given.watch else _round(stores)


def _take_over(stores: Stores, name: str) -> None:
    """Let the coordinator `name` commit no more.

    Raises:
        InvalidValue: it was started elsewhere, so its decisions are not in this store.
    """
    newest = stores.decisions.epoch(name)
    if not newest:
        raise InvalidValue(
            f"no coordinator {name!r} ever started here; is --decisions the store that it uses?"
        )
    found, _ = prepared(stores, recovery.prefix(name))
    for gid in map(Gid.parse, sorted(found)):
        if gid.epoch > newest:
            raise recovery.foreign(gid, newest)
    stores.decisions.begin_epoch(name)


def _watch(stores: Stores, every: float) -> int:
    with signals.collected() as events:
        print(f"recovering every {every:g} s", flush=True)
        while True:
            code = _round(stores, quiet=True)
            if any(event in _END for event in events.wait(every)):
                return code


def _round(stores: Stores, *, quiet: bool = False) -> int:
    """Recover the transactions of all coordinators that were started again since; say what was done."""
    try:
        done = _recover(stores)
    except RingfenceError as error:
        if not quiet:
            raise
        print(f"ringfence: {error}", file=sys.stderr, flush=True)
        return 1
    if not quiet or done.resolved or done.unresolved:
        print(done, flush=True)
    return 1 if done.unresolved else 0


def _recover(stores: Stores) -> Recovery:
    found, failed = prepared(stores)
    done = Recovery()
    for name in sorted({Gid.parse(gid).name for gid in found}):
        epoch = stores.decisions.epoch(name)
        reached = {each: store for each, store in stores.participants.items() if each not in failed}
        more = drive(recovery.recover(name, epoch, reached, stores.decisions, _AtWork()))
        done.resolved += more.resolved
        done.unresolved += more.unresolved
    done.unresolved += [recovery.Unresolved(None, name, error) for name, error in failed.items()]
    return done


class _AtWork:
    """Of the newest epoch all transactions, for their coordinator may be at work."""

    def __contains__(self, gid: object) -> bool:
        return True


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return number
