"""`manage.py ringfence_recover [name …]`: resolve what coordinators that died left prepared."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ringfence.bindings.django import manager


class Command(BaseCommand):  # type: ignore[misc]
    """Recovers, and says what it did; the exit code is 1 while something is left."""

    help = "Commit or roll back what processes that died left prepared, as the decision store says."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the names of coordinators."""
        parser.add_argument(
            "names",
            nargs="*",
            help="names of coordinators that run no more; without any, the NAME of the settings",
        )

    def handle(self, *_: Any, names: list[str], **__: Any) -> None:
        """Recover each of them."""
        left = 0
        for name in names or [manager().name]:
            found = manager().recover(name)
            self.stdout.write(f"{name}: {found}")
            left += len(found.unresolved)
        if left:
            raise CommandError(f"{left} could not be resolved; run this again when the reasons are gone")
