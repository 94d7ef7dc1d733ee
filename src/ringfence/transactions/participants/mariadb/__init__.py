"""MariaDB as a participant, by XA: a branch's SQL, its end, and the end of branches that dead processes left."""

from ringfence.transactions.participants.mariadb.aio import AsyncMariaParticipant
from ringfence.transactions.participants.mariadb.branch import AsyncMariaBranch, MariaBranch
from ringfence.transactions.participants.mariadb.participant import MariaParticipant

__all__ = ["AsyncMariaBranch", "AsyncMariaParticipant", "MariaBranch", "MariaParticipant"]
