"""An SQLite file as a participant: the file's states, a branch's SQL, and what makes its record run again."""

from ringfence.transactions.participants.sqlite.branch import Result, SqliteBranch
from ringfence.transactions.participants.sqlite.participant import SqliteParticipant

__all__ = ["Result", "SqliteBranch", "SqliteParticipant"]
