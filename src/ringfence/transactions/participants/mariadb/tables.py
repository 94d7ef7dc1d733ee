"""The tables of ringfence in a database of MariaDB, made when they are missing, and what is said to them."""

from __future__ import annotations

from ringfence import _mysql
from ringfence.transactions.gid import Gid

BRANCH = """CREATE TABLE IF NOT EXISTS ringfence_branch (
    gid VARBINARY(80) PRIMARY KEY, session VARBINARY(64) NOT NULL,
    at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, KEY (at)) ENGINE = InnoDB"""
SETTLED = """CREATE TABLE IF NOT EXISTS ringfence_settled (
    gid VARBINARY(80) PRIMARY KEY, outcome VARBINARY(10) NOT NULL) ENGINE = InnoDB"""
EPOCH = """CREATE TABLE IF NOT EXISTS ringfence_epoch (
    name VARBINARY(40) PRIMARY KEY, epoch BIGINT NOT NULL) ENGINE = InnoDB"""
DECISION = """CREATE TABLE IF NOT EXISTS ringfence_decision (
    gid VARBINARY(80) PRIMARY KEY, outcome VARBINARY(10) NOT NULL) ENGINE = InnoDB"""
HEURISTIC = """CREATE TABLE IF NOT EXISTS ringfence_heuristic (
    gid VARBINARY(80), branch VARBINARY(255), found BLOB NOT NULL,
    PRIMARY KEY (gid, branch)) ENGINE = InnoDB"""

TABLES = {
    "ringfence_branch": BRANCH,
    "ringfence_settled": SETTLED,
    "ringfence_epoch": EPOCH,
    "ringfence_decision": DECISION,
    "ringfence_heuristic": HEURISTIC,
    "ringfence_guard": _mysql.GUARD_TABLE,
}
FIND = r"SHOW TABLES LIKE 'ringfence\_%'"


def literal(text: str) -> str:
    """Text in a statement, whatever it holds and however the server reads quotes."""
    return "X'" + text.encode().hex() + "'" if text else "''"


def decided(gid: Gid) -> str:
    """Put "committed" for `gid`, unless a row stands (error 1062) or its epoch is not the newest (error 1048).

    The row of the epoch is read locked, so that a new start and this decision come one after the other.
    """
    newest = f"FROM ringfence_epoch WHERE name = '{gid.name}' AND epoch = {gid.epoch} LOCK IN SHARE MODE"
    return f"INSERT INTO ringfence_decision VALUES ('{gid}', (SELECT 'committed' {newest}))"
