"""Safety rules, and how to play without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

SWITCHES: Mapping[str, Callable[[], AbstractContextManager[None]]] = {}
