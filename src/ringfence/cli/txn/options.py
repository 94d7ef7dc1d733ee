"""What the commands about transactions have in common: the decision store, and the participants."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringfence._url import file_path
from ringfence.errors import InvalidValue
from ringfence.transactions import decisions as decision_stores
from ringfence.transactions import participants as participant_stores
from ringfence.transactions.decisions import DecisionStore
from ringfence.transactions.decisions.file import DecisionLog
from ringfence.transactions.participants import Participant

Commands = argparse._SubParsersAction

_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of a command, open.

    Attributes:
        decisions: where outcomes are.
        participants: by name.
    """

    decisions: DecisionStore
    participants: Mapping[str, Participant]


@dataclass(frozen=True, slots=True)
class Urls:
    """What a command was given."""

    decisions: str
    participants: Mapping[str, str]


def add_parser(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    words: str,
    more: str,
    *,
    participants: bool = True,
) -> argparse.ArgumentParser:
    """Add a command that is about the transactions of some stores.

    Args:
        commands: where to add it.
        name: of the command.
        words: what it does, in a line.
        more: what to say below its options.
        participants: it is about participants too.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=words,
        description=words[0].upper() + words[1:] + ".",
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--decisions", metavar="URL", help="where outcomes are, as sqlite:////var/lib/app/decisions.db")
    if participants:
        add(
            "--participant", metavar="NAME=URL", action="append", default=[],
            help="a participant, by the name that transactions use; as often as there are some",
        )  # fmt: skip
    add(
        "--stores",
        metavar="FILE",
        help="a TOML file that says both: decisions = URL, [participants] NAME = URL",
    )
    return parser


@contextmanager
def opened(given: argparse.Namespace) -> Iterator[Stores]:
    """Open the stores.

    Raises:
        InvalidValue: none are named, or not in a way that is understood.
        StoreError: one cannot be opened.
    """
    urls = _urls(given)
    with ExitStack() as stack:
        decisions = decision_stores.from_url(urls.decisions, _TIMEOUT)
        stack.callback(decisions.close)
        yield Stores(decisions, _participants(urls, stack))


@contextmanager
def opened_to_read(given: argparse.Namespace) -> Iterator[Stores]:
    """Open the stores to look at them; a decision log may be open in the process that decides."""
    urls = _urls(given)
    if not urls.decisions.startswith("file:"):
        with opened(given) as stores:
            yield stores
        return
    with ExitStack() as stack:
        log: Any = DecisionLog(file_path(urls.decisions))  # it has all of a store that is read
        yield Stores(log, _participants(urls, stack))


def decision_log(given: argparse.Namespace) -> DecisionLog:
    """Open the decision log to prove from it.

    Raises:
        InvalidValue: decisions are kept in a store that is no log.
    """
    url = _urls(given).decisions
    if not url.startswith("file:"):
        raise InvalidValue(
            f"decisions in {url.partition(':')[0]} prove nothing: only a decision log does, as file:///var/lib/app/decisions"
        )
    return DecisionLog(file_path(url))


def _participants(urls: Urls, stack: ExitStack) -> dict[str, Participant]:
    participants = {}
    for name, url in urls.participants.items():
        participants[name] = participant_stores.from_url(url, _TIMEOUT)
        stack.callback(participants[name].close)
    return participants


def _urls(given: argparse.Namespace) -> Urls:
    listed = dict(map(_named, getattr(given, "participant", ())))
    urls = _read(given.stores) if given.stores else Urls("", {})
    urls = Urls(given.decisions or urls.decisions, {**urls.participants, **listed})
    if not urls.decisions:
        raise InvalidValue("say where the outcomes are: --decisions URL, or --stores FILE")
    for url in (urls.decisions, *urls.participants.values()):
        if url.startswith("memory:"):
            raise InvalidValue(f"{url!r} lives inside one process; name a store that processes share")
    return urls


def _named(text: str) -> tuple[str, str]:
    name, mark, url = text.partition("=")
    if not (name and mark and url):
        raise InvalidValue(f"{text!r} is not NAME=URL, as east=sqlite:////var/lib/app/east.db")
    return name, url


def _read(path: str) -> Urls:
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidValue(f"{path!r} cannot be read as TOML: {error}") from error
    decisions, participants = content.get("decisions", ""), content.get("participants", {})
    texts = [decisions, *(participants.values() if isinstance(participants, dict) else [None])]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidValue(
            f"{path!r} should have: decisions = URL, and a table [participants] with NAME = URL"
        )
    return Urls(decisions, participants)
