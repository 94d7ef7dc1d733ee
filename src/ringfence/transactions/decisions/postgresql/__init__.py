"""Decisions in a PostgreSQL database."""

from ringfence.transactions.decisions.postgresql.store import PostgresDecisions

__all__ = ["PostgresDecisions"]
