"""Commands that are collected instead of being sent; needs redis-py, so it is imported when there are some."""

from __future__ import annotations

from typing import Any

from redis.commands import CoreCommands


class Commands(CoreCommands):  # type: ignore[misc, type-arg, unused-ignore]
    """Has the methods of `redis.Redis`, which only note the command.

    Attributes:
        collected: the words of each command.
    """

    _event_dispatcher: Any = (
        None  # newer ones of redis-py ask for it; nothing happens here that it could tell
    )

    def __init__(self) -> None:
        self.collected: list[tuple[Any, ...]] = []

    def execute_command(self, *words: Any, **_options: Any) -> None:
        """Note a command; some of redis-py's have two words in one."""
        first, *others = words
        self.collected.append((*str(first).split(), *others))
