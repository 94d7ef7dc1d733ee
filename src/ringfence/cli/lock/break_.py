"""`ringfence lock break`: free a lock that somebody holds."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from ringfence.cli.lock import options
from ringfence.errors import InvalidValue
from ringfence.locks.opening import open_store
from ringfence.locks.stores import Holder, LockStore, Shared

MORE = """The holder learns of it when it renews its lease, a third of its ttl later at most, and may go on until then.
The next holder gets a greater fence; once it has written, a guard refuses what the old one writes. Nothing is freed
if the lock has changed hands since it was shown. Where several hold it (an rwlock, a semaphore), it is about each.

Exits with 0 when the lock was freed, and with 1 when it was not.
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `break`."""
    parser = options.add_parser(commands, "break", "free a lock, whoever holds it", MORE)
    parser.add_argument("name", metavar="NAME", help="of the lock")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Show who holds the lock, ask, and free it; of a shared lock, each holder's share."""
    with closing(open_store(options.url(given))) as store:
        holders = _holders(store, given.name)
        if not holders:
            print(f"{given.name!r} is not held")
        broken = [_break(store, holder, given.yes) for holder in holders]
    return 0 if broken and all(broken) else 1


def _holders(store: LockStore, name: str) -> list[Holder]:
    names = (name, Shared(name, 1, 1)) if store.shared else (name,)
    return [holder for each in names for holder in store.status(each).holders]


def _break(store: LockStore, holder: Holder, sure: bool) -> bool:
    if not (sure or _confirmed(holder)):
        print("nothing was changed")
        return False
    if not store.release(holder.name, holder.owner, holder.fence):
        print(f"{holder.name!r} is no longer held by {_shown(holder)}; nothing was changed")
        return False
    print(f"broke {holder.name!r}, held by {_shown(holder)}")
    return True


def _confirmed(holder: Holder) -> bool:
    if not sys.stdin.isatty():
        raise InvalidValue("nobody can be asked here whether to break the lock; give --yes")
    print(f"{holder.name!r} is held by {_shown(holder)}, and ends in {holder.remaining:.1f} s unless renewed")
    return input("Break it? [y/N] ").strip().lower() in ("y", "yes")


def _shown(holder: Holder) -> str:
    return f"owner {holder.owner}, fence {holder.fence}"
