"""An SQLite file as a participant: the file's states, a branch's SQL, and what makes its record run again."""

from ringfence.transactions.participants.result import Result
from ringfence.transactions.participants.sqlite.branch import SqliteBranch
from ringfence.transactions.participants.sqlite.participant import SqliteParticipant

__all__ = ["Result", "SqliteBranch", "SqliteParticipant"]
