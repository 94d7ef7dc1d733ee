"""Transactions where people already are: plain DB-API connections, SQLAlchemy 2 and Django.

The application runs its statements on connections of its own; ringfence prepares, decides and commits on them, and
recovers over connections that it opens itself. One module a framework: `dbapi`, `sqlalchemy`, `django`.
"""
