"""Decisions in an append-only log on this machine's disk: frames in segments, written and synced in groups."""

from ringfence.transactions.decisions.file.store import FileDecisions

__all__ = ["FileDecisions"]
