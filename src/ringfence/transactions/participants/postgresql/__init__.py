"""A PostgreSQL database as a participant: its phases, a branch's SQL, and what prepared work is called."""

from ringfence.transactions.participants.postgresql.asynchronous import AsyncPostgresParticipant
from ringfence.transactions.participants.postgresql.branch import AsyncPostgresBranch, PostgresBranch
from ringfence.transactions.participants.postgresql.participant import PostgresParticipant
from ringfence.transactions.participants.result import Result

__all__ = [
    "AsyncPostgresBranch",
    "AsyncPostgresParticipant",
    "PostgresBranch",
    "PostgresParticipant",
    "Result",
]
