"""MariaDB as a participant, by XA: a branch's SQL, its end, and the end of branches that dead processes left."""

from ringfence.transactions.participants.mariadb.aio import AioMariaParticipant
from ringfence.transactions.participants.mariadb.branch import AioMariaBranch, MariaBranch
from ringfence.transactions.participants.mariadb.participant import MariaParticipant

__all__ = ["AioMariaBranch", "AioMariaParticipant", "MariaBranch", "MariaParticipant"]
