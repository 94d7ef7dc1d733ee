"""What a branch may run: queries and changes of rows, and nothing that ends the transaction or outlives it."""

from __future__ import annotations

import re

from ringfence.errors import InvalidType, InvalidValue

_READS = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "("})
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "CALL", "DO"})
_FIRST = re.compile(r"(?:\s+|--\s[^\n]*\n?|#[^\n]*\n?|/\*(?!M?!).*?\*/)*(\(|[A-Za-z]+)", re.DOTALL)


def is_read(sql: str) -> bool:
    """Say whether a statement is a query; one that calls a function may write all the same.

    Raises:
        InvalidType: it is no string.
        InvalidValue: it is neither a query nor a change of rows: transactions are ended by the manager, tables are
            defined and variables are set outside of them.
    """
    if not isinstance(sql, str):
        raise InvalidType(f"a statement is a string, not {sql!r}")
    found = _FIRST.match(sql)
    word = found[1].upper() if found else ""
    if word in _READS:
        return True
    if word not in _WRITES:
        raise InvalidValue(
            f"a branch runs {', '.join(sorted(_READS - {'('}))}, {', '.join(sorted(_WRITES))} and nothing else, "
            f"not {sql!r}; leave COMMIT and ROLLBACK to the transaction, define tables and set variables outside of it"
        )
    return False
