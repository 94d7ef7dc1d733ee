"""How a branch is called in MariaDB: a gid and a database as an XA identifier, whose two parts hold 64 bytes each.

gtrid is the coordinator's `name.epoch`, bqual the `seq` and a digest of the database's name, for identifiers are one
server's, not one database's. The format is ringfence's own, so that nobody else's branches are ever touched.
"""

from __future__ import annotations

from hashlib import blake2b

from ringfence.transactions.gid import Gid

_FORMAT = int.from_bytes(b"RFtx", "big")


def xid(gid: str, database: str) -> str:
    """The branch of `gid` in a database, as XA statements take it."""
    parsed = Gid.parse(gid)
    return f"'{parsed.name}.{parsed.epoch}','{parsed.seq}.{_digest(database)}',{_FORMAT}"


def gid_of(row: tuple[object, ...], database: str) -> str | None:
    """The gid in a row of `XA RECOVER`: format, lengths of the parts, the parts; None if it is not one of ours here."""
    form, gtrid, _, data = row
    text = data.decode("latin-1") if isinstance(data, bytes) else str(data)
    start, (seq, _, digest) = text[: int(str(gtrid))], text[int(str(gtrid)) :].partition(".")
    if form != _FORMAT or digest != _digest(database):
        return None
    return f"{start}.{seq}"


def _digest(database: str) -> str:
    return blake2b(database.encode(), digest_size=8).hexdigest()
