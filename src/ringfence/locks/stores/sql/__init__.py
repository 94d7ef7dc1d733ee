"""The lock stores in PostgreSQL and MariaDB: rows with a ttl, or locks bound to the session of a connection."""
