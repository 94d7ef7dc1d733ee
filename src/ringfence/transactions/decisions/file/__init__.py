"""Decisions in an append-only log on this machine's disk: written and synced in groups, packed, and provable."""

from ringfence.transactions.decisions.file.evidence import DecisionLog
from ringfence.transactions.decisions.file.store import FileDecisions

__all__ = ["DecisionLog", "FileDecisions"]
