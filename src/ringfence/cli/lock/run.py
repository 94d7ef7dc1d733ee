"""`ringfence lock run`: a command under a lock, as `flock` runs it, but between machines and with a fence."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from ringfence.cli.lock import options, signals
from ringfence.cli.lock.command import Command
from ringfence.errors import StoreError
from ringfence.locks import Lease, LockManager

LOST = 123
NOT_ACQUIRED = 124
STORE_FAILED = 125

MORE = f"""The command finds the fence of its lease in the environment, as RINGFENCE_FENCE and as FENCE; hand it to the
guard of what it writes. It gets the runner's standard input and output, and the signals HUP, INT, QUIT, TERM, USR1
and USR2 that are sent to the runner. When the lease is lost, it is stopped: SIGTERM, and SIGKILL after --grace. When
the runner is killed, Linux kills the command too; elsewhere, and where the command has other processes, those go on.

exit codes:
  2      wrong arguments
  {LOST}    the lease was lost: the command was stopped, or its last steps were not protected
  {NOT_ACQUIRED}    the lock was not to be had within --timeout, or at once with --no-wait; the command was not started
  {STORE_FAILED}    the store failed; the command was not started
  126    the command cannot be executed
  127    there is no such command
  128+n  signal n has ended the command, or the runner while it was waiting for the lock
  All others are the command's own.

examples:
  ringfence lock run backup --url sqlite:////var/lib/locks.db --no-wait -- pg_dump app -f app.sql
  ringfence lock run report --url sqlite:///locks.db --ttl 30 --timeout 60 -- sh -c 'make report FENCE=$FENCE'
"""


def add_command(commands: options.Commands[argparse.ArgumentParser]) -> None:
    """Add `run`."""
    parser = options.add_parser(
        commands, "run", "run a command while holding a lock, and release it when the command ends", MORE
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="of the lock")
    add("command", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    add(
        "--ttl", type=options.seconds, default=10.0, metavar="S",
        help="seconds after which the lease ends if this machine dies; it is renewed until then (default: 10)",
    )  # fmt: skip
    waiting = parser.add_mutually_exclusive_group().add_argument
    waiting("--timeout", type=options.seconds, metavar="S", help="wait at most S seconds for the lock")
    waiting("--no-wait", action="store_true", help="do not wait for the lock")
    add(
        "--grace", type=options.seconds, default=5.0, metavar="S",
        help="seconds between SIGTERM and SIGKILL when the lease is lost (default: 5)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Take the lock, run the command, release the lock."""
    url = options.url(given)
    try:
        with signals.ending(), LockManager.from_url(url) as manager:
            lease = manager.lock(given.name, ttl=given.ttl).acquire(not given.no_wait, given.timeout)
            if lease is None:
                return _said(
                    NOT_ACQUIRED, f"{given.name!r} is held by another; {given.command[0]!r} was not started"
                )
            return under(lease, given.command, given.grace)
    except StoreError as failure:
        return _said(STORE_FAILED, str(failure))


def under(lease: Lease, words: list[str], grace: float) -> int:
    """Run a command under a lease, and release that."""
    fence = str(lease.fence)
    with signals.collected() as events:
        command = Command(words, {**os.environ, "RINGFENCE_FENCE": fence, "FENCE": fence})
        lease.on_lost(events.lost)
        code = attend(command, events, grace)
        held = _released(lease)
    if not held:
        return _said(
            LOST, f"the lease on {lease.name!r} (fence {fence}) was lost while {words[0]!r} was running"
        )
    return code


def attend(command: Command, events: signals.Events, grace: float) -> int:
    """Hand signals on until the command ends; stop it if the lease is lost."""
    while (code := command.code()) is None:
        for event in events.wait(None):
            if event == signals.LOST:
                return stop(command, events, grace)
            if event != signal.SIGCHLD:
                command.forward(event)
    return code


def stop(command: Command, events: signals.Events, grace: float) -> int:
    """End the command: ask all its processes, and kill those that are left after a grace."""
    command.send(signal.SIGTERM)
    until = time.monotonic() + grace
    while not command.is_gone() and (left := until - time.monotonic()) > 0:
        events.wait(min(left, 0.05))
    command.send(signal.SIGKILL)
    while (code := command.code()) is None:
        events.wait(None)
    return code


def _released(lease: Lease) -> bool:
    try:
        return lease.release()
    except StoreError as failure:
        print(f"ringfence: {lease.name!r} was not released, its ttl ends it: {failure}", file=sys.stderr)
        return True


def _said(code: int, words: str) -> int:
    print(f"ringfence: {words}", file=sys.stderr)
    return code
